"""What a run measures: clocks in, one result document out.

Each process of the generator has a `Recorder` (with a `Ledger` inside); the parent has a `Book` that merges what the
recorders hand over every second. A `Result` is the document that every report, condition and comparison is made from.
"""
