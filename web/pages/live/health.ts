// The cluster's health in a few words. Pure.
import type { ClusterNode } from "./rest.ts";

/** Ant Media's panel warns at these. */
const CPU_WARN_PERCENT = 85;
const STORE_WARN_MS = 30;

/** Health: a colour and words. */
export interface Health {
  level: "ok" | "warn" | "bad";
  words: string;
}

/** Health of all the nodes. */
export function clusterHealth(nodes: ClusterNode[]): Health {
  const alive = nodes.filter((node) => node.status === "alive");
  const all = `${nodes.length} node${nodes.length === 1 ? "" : "s"}`;
  if (nodes.length === 0) return { level: "warn", words: "no node has reported yet" };
  if (alive.length === 0) return { level: "bad", words: `no heartbeat from ${all}` };
  if (alive.length < nodes.length) return { level: "warn", words: `${alive.length} of ${all} alive` };
  const busy = alive.filter((node) => nodeLevel(node) === "warn");
  if (busy.length > 0) return { level: "warn", words: `${busy.map((node) => node.id).join(", ")} under load` };
  return { level: "ok", words: `${all} healthy` };
}

/** Health of one node. */
export function nodeLevel(node: ClusterNode): Health["level"] {
  if (node.status !== "alive") return "bad";
  return Number(node.cpu) >= CPU_WARN_PERCENT || node.dbQueryAveargeTimeMs >= STORE_WARN_MS ? "warn" : "ok";
}
