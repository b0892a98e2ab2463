<?php
// A worker with PHP's Memcached extension. The lease number is the cas token; cas is result and ack in one commit.
// A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds.
[$host, $port] = explode(':', getenv('GLASSQ_MEMCACHED') ?: '127.0.0.1:22201');
$queue = new Memcached();
$queue->setOption(Memcached::OPT_COMPRESSION, false);
$queue->setOption(Memcached::OPT_POLL_TIMEOUT, 20000);
$queue->addServer($host, (int) $port);
while (true) {
    $item = $queue->get('tasks/open/t=10000/lease=10000', null, Memcached::GET_EXTENDED);
    if ($item === false) {
        if ($queue->getResultCode() !== Memcached::RES_NOTFOUND) {
            usleep(200000); // the server is away
            $queue->resetServerList();
            $queue->addServer($host, (int) $port);
        }
        continue;
    }
    $began = microtime(true);
    $job = json_decode($item['value']);
    $good = !isset($job->sleep) || is_int($job->sleep) || is_float($job->sleep);
    if ($good && isset($job->sleep)) usleep((int) ($job->sleep * 1e6));
    $o = ['ok' => $good && empty($job->fail) ? 1 : 0, 'rt' => microtime(true) - $began];
    // JSON goes in as it came, text is quoted, other bytes are left out.
    $i = is_object($job) || is_array($job) ? $item['value'] : json_encode($item['value']);
    $result = '{' . ($i === false ? '' : "\"i\":$i,") . '"o":' . json_encode($o) . '}';
    $queue->cas($item['cas'], 'results', $result);
}
