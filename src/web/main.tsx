import "./style.css";
import { render } from "preact";
import { createConnection } from "./net/connection.js";
import { App } from "./state/app.js";
import type { AddressBar } from "./state/route.js";
import { Page } from "./views/page.js";

/** A page that cannot be seen gives its connections back: browsers make few to one server. */
const HIDDEN_DELAY_MS = 30_000;
const LINK = /^#link=([\w-]+)$/;

const link = LINK.exec(location.hash)?.[1];
// Nobody who looks at the address, or goes back, finds the secret.
if (link !== undefined) history.replaceState(null, "", location.pathname + location.search);

const addressBar: AddressBar = {
  get search() {
    return location.search;
  },
  push: (search) => history.pushState(null, "", search),
  replace: (search) => history.replaceState(null, "", search),
  onChange: (listener) => addEventListener("popstate", listener),
};
const connection = createConnection({
  baseUrl: new URL(".", location.href).href,
  keys: localStorage,
  onReached: (isReached) => {
    app.isReached.value = isReached;
  },
  onShut: (why) => app.door.shut(why),
});
const app = new App({ ...connection, addressBar });

let hiding: number | undefined;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (!document.hidden) app.isVisible.value = true;
  else hiding = window.setTimeout(() => (app.isVisible.value = false), HIDDEN_DELAY_MS);
});

const root = document.querySelector("#app");
if (root) {
  root.replaceChildren();
  render(<Page app={app} />, root);
}
app.run(link);
