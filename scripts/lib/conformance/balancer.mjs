// A balancer without affinity: each request goes to the next server in turn, whatever session, stream or task it is
// about. usage: balancer.mjs PORT ADDR...
//
// It passes bodies on as they come, and a strange `Host` as it is: what to make of one is the server's business.
import { createServer, request } from 'node:http';

const [port, ...servers] = process.argv.slice(2);
const own = new Set([`127.0.0.1:${port}`, `localhost:${port}`]);
let turn = 0;

const balancer = createServer((incoming, outgoing) => {
    const [host, upstream] = servers[(turn += 1) % servers.length].split(':');
    const headers = { ...incoming.headers };
    if (own.has(headers.host)) headers.host = `${host}:${upstream}`;
    if (headers.origin && own.has(headers.origin.replace(/^http:\/\//, ''))) headers.origin = `http://${host}:${upstream}`;
    const onward = request({ host, port: upstream, method: incoming.method, path: incoming.url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, answer.headers);
        outgoing.flushHeaders();
        answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    // Whoever leaves takes its request along.
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
});
balancer.keepAliveTimeout = 60_000;
balancer.listen(Number(port), '127.0.0.1');
