/*
 * The page's policy forbids styles in the document: one that hostile output could somehow
 * bring there is nothing but text. xterm.js makes such styles itself. Here they go the way
 * that the policy leaves to the page's own code: style sheets made by it, and the styles of
 * single elements set as properties.
 */

let isDone = false;

export function useStrictStyles(): void {
  if (isDone) return;
  isDone = true;
  // oxlint-disable-next-line typescript/unbound-method
  const { setAttribute } = Element.prototype;
  Object.defineProperty(HTMLElement.prototype, "setAttribute", {
    configurable: true,
    writable: true,
    value(this: HTMLElement, name: string, value: string) {
      if (name === "style") this.style.cssText = value;
      else setAttribute.call(this, name, value);
    },
  });
  const sheets = new WeakMap<HTMLStyleElement, CSSStyleSheet>();
  const text = Object.getOwnPropertyDescriptor(Node.prototype, "textContent");
  Object.defineProperty(HTMLStyleElement.prototype, "textContent", {
    configurable: true,
    // oxlint-disable-next-line typescript/unbound-method
    get: text?.get ?? (() => ""),
    set(this: HTMLStyleElement, css: string) {
      let sheet = sheets.get(this);
      if (!sheet) {
        sheet = new CSSStyleSheet();
        sheets.set(this, sheet);
        document.adoptedStyleSheets.push(sheet);
      }
      sheet.replaceSync(css);
    },
  });
  // oxlint-disable-next-line typescript/unbound-method
  const { remove } = Element.prototype;
  Object.defineProperty(HTMLStyleElement.prototype, "remove", {
    configurable: true,
    writable: true,
    value(this: HTMLStyleElement) {
      const sheet = sheets.get(this);
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
      remove.call(this);
    },
  });
}
