#!/usr/bin/perl
# A worker with Cache::Memcached::Fast. The lease number is the cas; cas is result and ack in one commit.
# A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds.
use strict; use warnings;
use Cache::Memcached::Fast; use JSON::PP; use Scalar::Util 'looks_like_number'; use Time::HiRes qw(sleep time);

my $server = $ENV{GLASSQ_MEMCACHED} // '127.0.0.1:22201';
my $queue = Cache::Memcached::Fast->new({servers => [$server], io_timeout => 20, max_size => 32 << 20, failure_timeout => 0, max_failures => 0});
my $json = JSON::PP->new->allow_nonref;
while (1) {
    my $item = $queue->gets('tasks/open/t=10000/lease=10000');
    if (!$item) { sleep 0.02; next }    # nothing came, or the server is away
    my ($lease, $body) = @$item;
    my ($began, $job) = (time, undef);
    $job = eval { $json->utf8->decode($body) } if $body =~ /^[{\[]/;
    my ($nap, $fail) = ref $job eq 'HASH' ? @$job{qw(sleep fail)} : ();
    my $good = !defined $nap || looks_like_number($nap);
    sleep $nap if $good && $nap;
    my $o = sprintf '{"ok":%d,"rt":%.6f}', $good && !$fail, time - $began;
    # JSON goes in as it came, text is quoted, other bytes are left out.
    my $text = $body;
    my $i = $job ? $body : utf8::decode($text) ? $json->utf8->encode($text) : undef;
    $queue->cas('results', $lease, defined $i ? "{\"i\":$i,\"o\":$o}" : "{\"o\":$o}");
}
