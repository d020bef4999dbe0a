import { execFileSync } from "node:child_process";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { TestServer } from "../helpers/test-server.js";

const TRACING = pathToFileURL(join(import.meta.dirname, "../fixtures/register-tracing.mjs")).href;

/** The samples of an answer in Prometheus' text format: 'name{label="value"}' with its number. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const declared = new Set<string>();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary)$/.exec(line)?.[1];
    if (type) declared.add(type);
    if (line.startsWith("#")) {
      expect(line).toMatch(/^# (HELP|TYPE) /);
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)$/.exec(
      line,
    );
    expect(sample, line).not.toBeNull();
    const [, name = "", labels = "", value = ""] = sample ?? [];
    const family = name.replace(/_(?:bucket|sum|count)$/, "");
    expect(declared.has(name) || declared.has(family), line).toBe(true);
    // As Go reads numbers, in which Prometheus is written.
    expect(value, line).toMatch(/^(?:[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|nan)$/i);
    samples.set(`${name}${labels}`, Number(value));
  }
  return samples;
}

describe("/metrics", () => {
  const server = TestServer.shared();
  const curl = (...words: string[]) => execFileSync("curl", ["-sS", ...words]).toString();
  const overSocket = () =>
    parseMetrics(curl("--unix-socket", server.socketPath, "http://localhost/metrics"));

  test("tells of jobs, calls, streams, connections and the process, from the first scrape on", async () => {
    const before = overSocket();
    expect(before.get('procman_jobs{status="completed"}')).toBe(0);
    const { client } = server;
    const { job } = await client.start({ command: "sh", args: ["-c", "printf 12345; exit 3"] });
    const id = job!.id;
    for await (const _ of client.attach({ id, follow: true })) {
      // To the end.
    }
    await errorOf(client.get({ id: "none" }));
    await errorOf(client.start({ command: "no-such-command" }));
    const { job: running } = await client.start({ command: "sleep", args: ["1000"] });
    const following = client.watch({ id: running!.id })[Symbol.asyncIterator]();
    await following.next();

    const after = overSocket();
    const expected: Record<string, number> = {
      'procman_jobs{status="failed"}': 1,
      'procman_jobs{status="running"}': 1,
      procman_jobs_started_total: 2,
      'procman_jobs_ended_total{status="failed"}': 1,
      'procman_job_duration_seconds_count{status="failed"}': 1,
      'procman_rpc_duration_seconds_count{method="Start",code="OK"}': 2,
      'procman_rpc_errors_total{method="Get",reason="JOB_NOT_FOUND"}': 1,
      'procman_rpc_errors_total{method="Start",reason="COMMAND_NOT_FOUND"}': 1,
      'procman_streams_ended_total{method="Attach",code="OK"}': 1,
      'procman_streams_open{method="Attach"}': 0,
      'procman_streams_open{method="Watch"}': 1,
      procman_output_sent_bytes_total: 5,
    };
    const found = Object.keys(expected).map((name) => [name, after.get(name)]);
    expect(Object.fromEntries(found)).toEqual(expected);
    expect(after.get("procman_connections")).toBeGreaterThan(0);
    expect(after.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect(after.has("procman_event_loop_delay_seconds_count")).toBe(true);
    expect(after.has("nodejs_eventloop_lag_p99_seconds")).toBe(false);
    // Labels have few values: none is an id.
    expect([...after.keys()].join()).not.toContain(id);
    await client.cancel({ id: running!.id });
    await following.return?.(undefined);
  });

  test("is behind the token over TCP, and for no page's eyes", () => {
    const url = `${server.baseUrl}/metrics`;
    const status = (...words: string[]) => curl("-o", "/dev/null", "-w", "%{http_code}", ...words);
    const token = ["-H", `Authorization: Bearer ${server.token}`];
    expect(status(url)).toBe("401");
    expect(status(url, ...token)).toBe("200");
    expect(status(url, ...token, "-H", "Origin: https://evil.example")).toBe("403");
    expect(status(url, ...token, "-X", "POST")).toBe("404");
    expect(curl(...token, "-D", "-", "-o", "/dev/null", url)).toContain(
      "text/plain; version=0.0.4",
    );
  });
});

describe("OpenTelemetry", () => {
  const server = TestServer.shared({ env: { NODE_OPTIONS: `--import ${TRACING}` } });
  const spans = () =>
    [...server.log.matchAll(/^span (\{.*\})$/gm)].map(
      ([, json = ""]) => JSON.parse(json) as Record<string, unknown>,
    );

  const nodeOptions = () => ({ socketPath: server.socketPath });
  const transports: Record<string, () => Transport> = {
    connect: () =>
      createConnectTransport({
        baseUrl: "http://localhost",
        httpVersion: "1.1",
        nodeOptions: nodeOptions(),
      }),
    "gRPC-Web": () =>
      createGrpcWebTransport({
        baseUrl: "http://localhost",
        httpVersion: "1.1",
        nodeOptions: nodeOptions(),
      }),
    gRPC: () => createGrpcTransport({ baseUrl: server.baseUrl }),
  };

  test.each(Object.keys(transports).map((name, index) => [name, index] as const))(
    "a span of each call is a part of its caller's trace: %s",
    async (name, index) => {
      const traceId = `${index + 1}`.repeat(32);
      const parentId = "b".repeat(16);
      const headers = {
        traceparent: `00-${traceId}-${parentId}-01`,
        authorization: `Bearer ${server.token}`,
      };
      const client = createClient(ProcmanService, transports[name]!());
      const { job } = await client.start({ command: "echo", args: ["hi"] }, { headers });
      for await (const _ of client.attach({ id: job!.id, follow: true }, { headers })) {
        // To the end.
      }
      await errorOf(client.get({ id: "none" }, { headers }));
      const own = await eventually("three spans", () => {
        const found = spans().filter((span) => span["traceId"] === traceId);
        return found.length === 3 && found;
      });
      const isConnect = name === "connect";
      const service = { "rpc.service": "procman.v1.ProcmanService" };
      const system = { ...service, "rpc.system": isConnect ? "connect_rpc" : "grpc" };
      const ok = isConnect ? {} : { "rpc.grpc.status_code": 0 };
      const failed = isConnect
        ? { "rpc.connect_rpc.error_code": "not_found" }
        : { "rpc.grpc.status_code": 5 };
      const span = (method: string, attributes: object) => ({
        name: `procman.v1.ProcmanService/${method}`,
        kind: 1,
        parentId,
        status: { code: 0 },
        attributes: expect.objectContaining({ ...system, "rpc.method": method, ...attributes }),
      });
      expect(own).toEqual([
        expect.objectContaining(span("Start", ok)),
        expect.objectContaining(span("Attach", ok)),
        expect.objectContaining(span("Get", failed)),
      ]);
    },
  );
});
