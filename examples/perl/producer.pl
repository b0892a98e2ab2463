#!/usr/bin/perl
# Puts N tasks (10 if not said) with Cache::Memcached::Fast: the ids make it safe to run again.
use strict; use warnings;
use Cache::Memcached::Fast;

my $queue = Cache::Memcached::Fast->new({servers => [$ENV{GLASSQ_MEMCACHED} // '127.0.0.1:22201']});
for my $i (1 .. $ARGV[0] // 10) {
    $queue->set("tasks/id=perl-$i", "http://localhost:8888/?q=$i") or die "put $i failed\n";
}
