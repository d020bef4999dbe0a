import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Certificate authorities and what they sign, as PEM files in a directory: NAME.pem, NAME.key. */
export class Certificates {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  certPath(name: string): string {
    return join(this.#dir, `${name}.pem`);
  }

  keyPath(name: string): string {
    return join(this.#dir, `${name}.key`);
  }

  /** One that signs itself, and others. */
  createAuthority(name: string): void {
    this.#openssl("req -x509", newKey(name), `-out ${name}.pem -days 2 -subj /CN=${name}`);
  }

  /** A certificate for `name`, of this machine, signed by `authority`; a new one each time. */
  issue(name: string, authority: string, subject = `/CN=${name}`): void {
    const local = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    this.#openssl("req", newKey(name), `-out ${name}.csr -subj ${subject} -addext ${local}`);
    this.#openssl(
      `x509 -req -in ${name}.csr -out ${name}.pem -days 2 -copy_extensions copyall`,
      `-CA ${authority}.pem -CAkey ${authority}.key -CAcreateserial`,
    );
  }

  #openssl(...words: string[]): void {
    execFileSync("openssl", words.join(" ").split(" "), { cwd: this.#dir, stdio: "pipe" });
  }
}

function newKey(name: string): string {
  return `-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}.key`;
}
