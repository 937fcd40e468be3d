// Private keys among the secrets: the one kind of value that is never sent anywhere.

/** Whether a text holds a private key in PEM (RFC 7468 §10, §11, and the forms named after an algorithm). */
export function holdsPrivateKey(text: string): boolean {
  return /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/.test(text);
}
