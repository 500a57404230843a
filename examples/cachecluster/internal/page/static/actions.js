// What the page asks of the server.

const SILENT = "no answer: is the cluster still running?";

/** act posts an action; its result is what went wrong, empty if nothing did. */
export async function act(name, parameters) {
  try {
    const answer = await fetch(`action/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(parameters),
    });
    if (answer.ok) return "";
    return (await answer.text()).trim() || `refused with status ${answer.status}`;
  } catch {
    return SILENT;
  }
}

/**
 * once runs work that a button starts, and ignores the button until that ends. The
 * button is not disabled for it: that would take the focus away from the keyboard.
 */
export async function once(button, work) {
  if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}
