// usage: node scripts/lib/openid/provider.mjs PORT RESOURCE TTL    a certified OpenID provider on 127.0.0.1, for checks
//
// oidc-provider (npm, the library that the certification is for) with what an identity provider of a team has: dynamic
// registration, PKCE, refresh tokens, resource indicators with JWT access tokens for RESOURCE alone, which live TTL
// seconds. Anybody signs in under any name with any password; NAME has the address NAME@example.test, and people called
// admin-… are in the group admin. The server's console is a client that is known here, without a secret; what it asks of a
// person stands at the userinfo endpoint alone. PEER_PACKAGES is the directory that scripts/lib/node-tools printed.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const [port, resource, ttl] = process.argv.slice(2);
const { PEER_PACKAGES } = process.env;
if (!port || !resource || !ttl || !PEER_PACKAGES) {
    process.stderr.write('usage: PEER_PACKAGES=… provider.mjs PORT RESOURCE TTL\n');
    process.exit(2);
}
// Required, the package resolves to its entry file; imported, it is the module it is.
const entry = createRequire(join(PEER_PACKAGES, 'package.json')).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(entry));

const SCOPES = 'search get memory.read memory.write sync ingest';
const seconds = Number(ttl);
const issuer = `http://127.0.0.1:${port}`;

const CONSOLE = 'console';
const groups = (name) => (name.startsWith('admin-') ? ['staff', 'admin'] : ['staff']);
const claimsOf = (name) => ({ email: `${name}@example.test`, email_verified: true, name, groups: groups(name) });

const provider = new Provider(issuer, {
    clients: [
        {
            client_id: CONSOLE,
            redirect_uris: [`${new URL(resource).origin}/console/sign-in/callback`],
            token_endpoint_auth_method: 'none',
            application_type: 'native',
            grant_types: ['authorization_code'],
            response_types: ['code'],
        },
    ],
    scopes: ['openid', 'offline_access', ...SCOPES.split(' ')],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    features: {
        devInteractions: { enabled: true },
        registration: { enabled: true },
        resourceIndicators: {
            enabled: true,
            // A token for our endpoint is none for the provider's own.
            defaultResource: (_ctx, client) => (client.clientId === CONSOLE ? undefined : resource),
            useGrantedResource: () => true,
            getResourceServerInfo: (_ctx, indicator) => {
                if (indicator !== resource) throw new Error(`no resource ${indicator}`);
                return { scope: SCOPES, audience: resource, accessTokenTTL: seconds, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } };
            },
        },
    },
    ttl: { AccessToken: seconds, Grant: 3600, Interaction: 600, Session: 3600, RefreshToken: 3600, IdToken: 600 },
    cookies: { keys: ['a key for cookies of a check'] },
    clientBasedCORS: () => true,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...claimsOf(id) }) }),
    // A resource server asks nobody: what it must know about a person stands in the token.
    extraTokenClaims: (_ctx, token) => claimsOf(token.accountId),
});
// SDKs register with the scopes of their first sign-in, and this provider would bar the client from others for good. Most
// let a client ask for what its person may give.
provider.use(async (ctx, next) => {
    if (ctx.method === 'POST' && ctx.path === '/reg') {
        ctx.req.body = JSON.parse(await text(ctx.req));
        delete ctx.req.body.scope;
    }
    await next();
});
provider.on('server_error', (_ctx, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1', () => console.log(`listening on ${issuer}`));
