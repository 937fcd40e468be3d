/** Texts of the SDKs' servers for a session that they do not have (400, where the specification asks for 404). */
const FORGETFUL = /session|not initialized/i;

/** Whether an answer to a request in a session says that the upstream has none of that id. */
export function saysForgotten(status: number, body: Buffer): boolean {
  if (status === 404 || status === 410) return true;
  return status === 400 && FORGETFUL.test(body.toString('latin1', 0, 1024));
}
