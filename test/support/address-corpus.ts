// The corpus of address forms, for the guard alone and for real connections.

import type { CorpusCase } from './corpus.ts';

export interface AddressForm extends CorpusCase {
  readonly kind: 'address' | 'endpoint';
  readonly form: string;
  /** `accept`, or words that the reason holds. */
  readonly expect: string;
}

export const ADDRESS_COUNTS = {
  'ipv4 spelling': 28,
  'ipv4 range': 30,
  'ipv4 neighbour': 24,
  metadata: 25,
  'ipv6 range': 30,
  'ipv6 neighbour': 9,
  mapped: 10,
  compatible: 7,
  translated: 3,
  nat64: 5,
  'local nat64': 6,
  '6to4': 7,
  teredo: 7,
  isatap: 9,
  'ipv6 literal': 8,
  unreadable: 13,
  user: 7,
  ambiguous: 11,
  fragment: 3,
  port: 6,
  shape: 15,
  scheme: 16,
  name: 20,
  public: 13,
};
