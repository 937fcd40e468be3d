// What a claim link shows. A GET shows a button and gives nothing away, because chat programs and mail scanners fetch the
// links they see; a POST gives the value, once.

import { createHash } from 'node:crypto';
import { CLAIM_MINUTES, type Claimed, type Claims } from './claims.ts';

export type ClaimDoor = (request: Request, code: string) => Promise<Response>;

const STYLE =
  ':root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}' +
  'code{display:block;overflow-wrap:anywhere;user-select:all;padding:.5rem;border:1px solid}button{font:inherit;padding:.5rem 1rem}';

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; ` +
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex, nofollow, noarchive',
  // Not no-referrer: the form would then be sent with the Origin `null`, which is nobody's.
  'referrer-policy': 'same-origin',
  vary: 'Accept',
};

const GONE = `This link gives nothing: it was used, is older than ${CLAIM_MINUTES} minutes, or never was one. Ask for a new token; if you did not use the link yourself, have its token revoked.`;

export function createClaimDoor(
  claims: Pick<Claims, 'isGood' | 'take'>,
  claimUrl: (code: string) => string,
): ClaimDoor {
  return async (request, code) => {
    const wantsPage = request.headers.get('accept')?.includes('text/html') === true;
    if (request.method === 'POST') {
      const claimed = await claims.take(code);
      if (claimed === undefined)
        return wantsPage ? goneAsPage() : answer(404, 'json', `${toJson({ message: GONE })}\n`);
      return answer(200, wantsPage ? 'html' : 'json', wantsPage ? toPage(claimed) : `${toJson({ ...claimed })}\n`);
    }
    if (!(await claims.isGood(code))) return wantsPage ? goneAsPage() : answer(404, 'plain', `${GONE}\n`);
    return wantsPage ? answer(200, 'html', BUTTON_PAGE) : answer(200, 'plain', toHint(claimUrl(code)));
  };
}

const BUTTON_PAGE = page(
  'A token for you',
  '<p>The value is shown once. Be ready to keep it before you go on.</p><form method="post"><button>Show the token</button></form>',
);

function toPage({ name, token, url }: Claimed): string {
  return page(
    `Token ${escapeHtml(name)}`,
    `<p>Its value, which is not shown again:</p><code>${escapeHtml(token)}</code><p>Connect an agent with it to:</p><code>${escapeHtml(url)}</code>`,
  );
}

function toHint(url: string): string {
  return `This link gives the value of a token once, as JSON, to a POST:\n\n  curl -fsS -X POST ${url}\n`;
}

function goneAsPage(): Response {
  return answer(404, 'html', page('Nothing here', `<p>${GONE}</p>`));
}

function page(title: string, body: string): string {
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">' +
    `<meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>` +
    `<body><h1>${title}</h1>${body}</body></html>\n`
  );
}

const TYPES = { html: 'text/html; charset=utf-8', plain: 'text/plain; charset=utf-8', json: 'application/json' };

function answer(status: number, type: keyof typeof TYPES, body: string): Response {
  return new Response(body, { status, headers: { ...HEADERS, 'content-type': TYPES[type] } });
}

function toJson(value: Readonly<Record<string, string>>): string {
  return JSON.stringify(value);
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
