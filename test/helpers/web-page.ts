import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { dirname } from "node:path";
import { build } from "esbuild";

/** A page on an origin of its own, http://127.0.0.1:PORT, that runs one script. */
export class WebPage {
  readonly origin: string;
  readonly #server: Server;

  private constructor(origin: string, server: Server) {
    this.origin = origin;
    this.#server = server;
  }

  /** @param scriptPath is bundled, with what it imports, for browsers. */
  static async serve(scriptPath: string, port: number): Promise<WebPage> {
    const script = await bundle(scriptPath);
    const server = createServer((req, res) => {
      const isScript = req.url === "/script.js";
      res.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
      res.end(
        isScript ? script : '<!doctype html><script type="module" src="/script.js"></script>',
      );
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return new WebPage(`http://127.0.0.1:${port}`, server);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

async function bundle(path: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [path],
    absWorkingDir: dirname(path),
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "warning",
  });
  const [file] = outputFiles;
  if (!file) throw new Error(`esbuild made nothing of ${path}`);
  return file.contents;
}
