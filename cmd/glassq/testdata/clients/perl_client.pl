#!/usr/bin/perl
# Cache::Memcached::Fast as a whole client: the cases of TestMemcachedClients. Putting and working are examples/perl.
use strict; use warnings;
use Cache::Memcached::Fast;

my $RESULT = '{"o":{"ok":1}}';

sub connected { Cache::Memcached::Fast->new({servers => [$ENV{GLASSQ_MEMCACHED}], io_timeout => 20, max_size => 32 << 20}) }

sub same {
    my $i = 0;
    while (my ($got, $want) = splice @_, 0, 2) {
        $i++;
        next if !defined $got && !defined $want || defined $got && defined $want && $got eq $want;
        $_ = defined $_ ? substr("'$_'", 0, 60) : 'undef' for $got, $want;
        die "value $i: got $got, want $want\n";
    }
}

sub reserve {
    my ($q, $key) = @_;
    my $item = $q->gets($key) or return (undef, 0);
    return ($item->[1], $item->[0]);
}

# The body comes back from a get and from a reserve.
sub both {
    my ($q, $n, $body) = @_;
    same($q->set($n, $body), 1, $q->set($n, $body), 1, $q->get($n), $body);
    my ($got, $lease) = reserve($q, "$n/open");
    same($got, $body, $q->delete("$n/$lease"), 1, scalar $q->get($n), undef);
}

# What another door put is read, and what is put there that door reads.
sub across {
    my ($q, $n, $body) = @_;
    same($q->set("$n-out", $body), 1, $q->get("$n-in"), $body);
}

# No is '' here, and undef is an error.
my %cases = (
    bytes => sub { across(@_, join '', map chr, 0 .. 255) },
    duplicate => sub {
        my ($q, $n) = @_;
        same($q->set("$n/id=1", 'one'), 1, $q->add("$n/id=1", 'one'), '', $q->add("$n/id=2", 'two'), 1);
        same($q->get($n), 'one', $q->get($n), 'two', scalar $q->get($n), undef);
    },
    empty => sub { both(@_, '') },
    extend => sub {
        my ($q, $n) = @_;
        $q->set($n, 'one');
        my (undef, $lease) = reserve($q, "$n/open/lease=5000");
        same($q->touch("$n/$lease", 30), 1);
    },
    large => sub { both(@_, '0123456789abcdef' x 65536) },
    'lease-lost' => sub {
        my ($q, $n) = @_;
        $q->set($n, 'one');
        my (undef, $lease) = reserve($q, "$n/open");
        $q->set("$n/$lease/nack", '', 0);
        same($q->delete("$n/$lease"), '', $q->touch("$n/$lease", 30), '', $q->cas("$n-results", $lease, 'x'), '');
        same($q->set("$n-results/ack=$lease", 'x'), '', $q->set("$n/$lease/nack", '', 0), '');
        same(scalar $q->get("$n-results"), undef, $q->get($n), 'one');
    },
    nack => sub {
        my ($q, $n) = @_;
        $q->set($n, 'one');
        my (undef, $first) = reserve($q, "$n/open");
        same($q->set("$n/$first/nack", '', 0), 1);
        my ($body, $lease) = reserve($q, "$n/open/t=1000");
        same($body, 'one', $lease > $first, 1);
    },
    put => sub {
        my ($q, $n) = @_;
        same($q->set($n, 'one'), 1, $q->set($n, 'two'), 1);
        same($q->get($n), 'one', $q->get($n), 'two', scalar $q->get($n), undef);
    },
    'reserve-ack' => sub {
        my ($q, $n) = @_;
        $q->set($n, 'one');
        my ($body, $lease) = reserve($q, "$n/open/t=1000/lease=5000");
        same($body, 'one', $lease > 0, 1, scalar $q->get($n), undef);
        same($q->delete("$n/$lease"), 1, $q->delete("$n/$lease"), 1);
    },
    'result-cas' => sub {
        my ($q, $n) = @_;
        $q->set($n, 'one');
        my (undef, $lease) = reserve($q, "$n/open");
        same($q->cas("$n-results", $lease, $RESULT), 1);
        same($q->get("$n-results"), $RESULT, scalar $q->get($n), undef, $q->delete("$n/$lease"), 1);
    },
    'result-set' => sub {
        my ($q, $n) = @_;
        $q->set($n, 'one');
        my (undef, $lease) = reserve($q, "$n/open");
        same($q->set("$n-results/ack=$lease", $RESULT), 1);
        same($q->get("$n-results"), $RESULT, scalar $q->get($n), undef, $q->delete("$n/$lease"), 1);
    },
    text => sub { across(@_, "k\xc3\xa4se\r\n\xe5\x80\xa4 \\") },
    wait => sub { my ($q, $n) = @_; same($q->set("$n/delay=2000", 'late'), 1, scalar $q->get($n), undef, $q->get("$n/t=15000"), 'late') },
    'wait-ends' => sub { my ($q, $n) = @_; same(scalar $q->get("$n/t=200"), undef) },
);
for my $name (sort keys %cases) {
    print eval { $cases{$name}->(connected(), "own-$name"); 1 } ? "ok $name\n" : "fail $name: $@";
}
