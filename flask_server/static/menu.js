/** A button that opens a list of further actions; Escape, a choice or a click elsewhere closes it. */

/** Wire the menu: a button with aria-expanded, followed by the list of actions. */
export function wireMenu(menu) {
  const [button, list] = menu.children;
  const open = (on) => {
    button.setAttribute("aria-expanded", String(on));
    list.hidden = !on;
  };
  const close = () => {
    if (list.contains(document.activeElement)) button.focus();
    open(false);
  };
  button.addEventListener("click", () => open(list.hidden));
  list.addEventListener("click", ({ target }) => target.closest("button") && close());
  menu.addEventListener("keydown", ({ key }) => key === "Escape" && close());
  menu.addEventListener("focusout", ({ relatedTarget }) => menu.contains(relatedTarget) || open(false));
}
