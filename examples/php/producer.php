<?php
// Puts N tasks (10 if not said) with PHP's Memcached extension: the ids make it safe to run again.
[$host, $port] = explode(':', getenv('GLASSQ_MEMCACHED') ?: '127.0.0.1:22201');
$queue = new Memcached();
$queue->setOption(Memcached::OPT_COMPRESSION, false);
$queue->addServer($host, (int) $port);
for ($i = 1; $i <= (int) ($argv[1] ?? 10); $i++) {
    if (!$queue->set("tasks/id=php-$i", "http://localhost:8888/?q=$i")) {
        exit("put $i: " . $queue->getResultMessage() . "\n");
    }
}
