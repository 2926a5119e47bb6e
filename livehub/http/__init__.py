"""HTTP: REST for backends and operators, health for supervisors, metrics for Prometheus, a page for people."""
