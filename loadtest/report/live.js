"use strict";
// Asks once a second how the run goes and puts what comes back on the page.
(() => {
  const live = document.getElementById("live"), state = document.getElementById("state");
  const button = document.getElementById("stop");
  let pointer = null;
  document.addEventListener("pointermove", (event) => { pointer = event; });
  const show = (told) => {
    state.textContent = told.state;
    button.disabled = told.stopping || told.over;
    const opened = [...live.querySelectorAll("details")].map((details) => details.open);
    live.innerHTML = told.html;  // made by the server, which escapes every text
    live.querySelectorAll("details").forEach((details, index) => { details.open = opened[index] ?? false; });
    if (pointer) {  // the chart under the pointer is a new one: point at it again
      const under = document.elementFromPoint(pointer.clientX, pointer.clientY);
      under?.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: pointer.clientX, clientY: pointer.clientY }));
    }
  };
  const poll = async () => {
    let over = false;
    try {
      const answer = await fetch("/live.json", { cache: "no-store" });
      const told = await answer.json();
      show(told);
      over = told.over;
    } catch {
      state.textContent = "out of reach: the run is over or the harness is gone";
      button.disabled = true;
    }
    if (!over) setTimeout(poll, 1000);
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    await fetch("/stop", { method: "POST", headers: { "X-Stop-Token": button.dataset.token } });
  });
  poll();
})();
