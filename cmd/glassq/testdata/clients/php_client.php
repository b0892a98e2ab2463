<?php
// PHP's Memcached as a whole client: the cases of TestMemcachedClients. Putting and working are examples/php.
[$host, $port] = explode(':', getenv('GLASSQ_MEMCACHED'));

function connect(): Memcached {
    global $host, $port;
    $q = new Memcached();
    $q->setOption(Memcached::OPT_COMPRESSION, false);
    $q->setOption(Memcached::OPT_POLL_TIMEOUT, 20000);
    $q->addServer($host, (int) $port);
    return $q;
}

/** A body and its lease number, or [false, 0]. */
function reserve(Memcached $q, string $key): array {
    $item = $q->get($key, null, Memcached::GET_EXTENDED);
    return $item === false ? [false, 0] : [$item['value'], $item['cas']];
}

function same(...$pairs): void {
    for ($i = 0; $i < count($pairs); $i += 2) {
        if ($pairs[$i] !== $pairs[$i + 1]) {
            throw new Exception(sprintf('value %d: got %.60s, want %.60s', $i / 2, var_export($pairs[$i], true), var_export($pairs[$i + 1], true)));
        }
    }
}

/** The body comes back from a get and from a reserve. */
function both(Memcached $q, string $n, string $body): void {
    same($q->set($n, $body), true, $q->set($n, $body), true, $q->get($n), $body);
    [$got, $lease] = reserve($q, "$n/open");
    same($got, $body, $q->delete("$n/$lease"), true, $q->get($n), false);
}

/** What another door put is read, and what is put there that door reads. */
function across(Memcached $q, string $n, string $body): void {
    same($q->set("$n-out", $body), true, $q->get("$n-in"), $body);
}

const RESULT = '{"o":{"ok":1}}';
$cases = [
    'bytes' => fn ($q, $n) => across($q, $n, implode('', array_map('chr', range(0, 255)))),
    'duplicate' => function ($q, $n) {
        same($q->set("$n/id=1", 'one'), true, $q->add("$n/id=1", 'one'), false, $q->add("$n/id=2", 'two'), true);
        same($q->get($n), 'one', $q->get($n), 'two', $q->get($n), false);
    },
    'empty' => fn ($q, $n) => both($q, $n, ''),
    'extend' => function ($q, $n) {
        $q->set($n, 'one');
        [, $lease] = reserve($q, "$n/open/lease=5000");
        same($q->touch("$n/$lease", 30), true);
    },
    'large' => fn ($q, $n) => both($q, $n, str_repeat('0123456789abcdef', 65536)),
    'lease-lost' => function ($q, $n) {
        $q->set($n, 'one');
        [, $lease] = reserve($q, "$n/open");
        $q->set("$n/$lease/nack", '', 0);
        same($q->delete("$n/$lease"), false, $q->getResultCode(), Memcached::RES_NOTFOUND);
        same($q->touch("$n/$lease", 30), false, $q->getResultCode(), Memcached::RES_NOTFOUND);
        same($q->cas($lease, "$n-results", 'x'), false, $q->getResultCode(), Memcached::RES_NOTFOUND);
        same($q->set("$n-results/ack=$lease", 'x'), false, $q->getResultCode(), Memcached::RES_NOTSTORED);
        same($q->set("$n/$lease/nack", '', 0), false, $q->getResultCode(), Memcached::RES_NOTSTORED);
        same($q->get("$n-results"), false, $q->get($n), 'one');
    },
    'nack' => function ($q, $n) {
        $q->set($n, 'one');
        [, $first] = reserve($q, "$n/open");
        same($q->set("$n/$first/nack", '', 0), true);
        [$body, $lease] = reserve($q, "$n/open/t=1000");
        same($body, 'one', $lease > $first, true);
    },
    'put' => function ($q, $n) {
        same($q->set($n, 'one'), true, $q->set($n, 'two'), true);
        same($q->get($n), 'one', $q->get($n), 'two', $q->get($n), false);
    },
    'reserve-ack' => function ($q, $n) {
        $q->set($n, 'one');
        [$body, $lease] = reserve($q, "$n/open/t=1000/lease=5000");
        same($body, 'one', $lease > 0, true, $q->get($n), false);
        same($q->delete("$n/$lease"), true, $q->delete("$n/$lease"), true);
    },
    'result-cas' => function ($q, $n) {
        $q->set($n, 'one');
        [, $lease] = reserve($q, "$n/open");
        same($q->cas($lease, "$n-results", RESULT), true);
        same($q->get("$n-results"), RESULT, $q->get($n), false, $q->delete("$n/$lease"), true);
    },
    'result-set' => function ($q, $n) {
        $q->set($n, 'one');
        [, $lease] = reserve($q, "$n/open");
        same($q->set("$n-results/ack=$lease", RESULT), true);
        same($q->get("$n-results"), RESULT, $q->get($n), false, $q->delete("$n/$lease"), true);
    },
    'text' => fn ($q, $n) => across($q, $n, "k\u{e4}se\r\n\u{5024} \\"),
    'wait' => fn ($q, $n) => same($q->set("$n/delay=2000", 'late'), true, $q->get($n), false, $q->get("$n/t=15000"), 'late'),
    'wait-ends' => fn ($q, $n) => same($q->get("$n/t=200"), false, $q->getResultCode(), Memcached::RES_NOTFOUND),
];
foreach ($cases as $name => $do) {
    try {
        $do(connect(), "own-$name");
        echo "ok $name\n";
    } catch (Exception $e) {
        echo "fail $name: {$e->getMessage()}\n";
    }
}
