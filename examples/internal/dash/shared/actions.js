// What a page asks of the server.

/** act posts an action; its result is what went wrong, empty if nothing did. */
export async function act(name, parameters = {}) {
  try {
    const reply = await fetch(`action/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(parameters),
    });
    if (reply.ok) return "";
    return (await reply.text()).trim() || `refused with status ${reply.status}`;
  } catch {
    return "no answer: is it still running?";
  }
}

/**
 * once runs work that a control starts, and ignores the control until that ends. It is not
 * disabled for it: that would take the focus away from the keyboard.
 */
export async function once(control, work) {
  if (control.getAttribute("aria-busy") === "true" || control.getAttribute("aria-disabled") === "true") return;
  control.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    control.removeAttribute("aria-busy");
  }
}
