# SPDX-License-Identifier: GPL-2.0-or-later
# Regular expressions over generated text: alternation, captures, back-references, substitution.
use strict;
use warnings;

my ($seed, $text) = (7, "");
my @words = qw(alpha beta gamma delta 10.0.0.1 192.168.17.4 user@example.org foo@bar.net 2024-05-17 1999-12-31 aa abba);
for (1 .. 60000) {
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    $text .= $words[($seed >> 8) % @words] . (($seed >> 4) % 9 ? " " : "\n");
}
my $mails = () = $text =~ /\b[\w.]+@[\w.]+\.(?:org|net|com)\b/g;
my $addresses = () = $text =~ /\b(?:\d{1,3}\.){3}\d{1,3}\b/g;
my $dates = 0;
while ($text =~ /(\d{4})-(\d\d)-(\d\d)/g) { $dates += $1 - $2 * $3 }
my $mirrors = () = $text =~ /\b(\w)(\w)\2\1\b/g;
(my $copy = $text) =~ s/(\w+) (\w+)/$2 $1/g;
my %count;
$count{$_}++ for split /\s+/, $copy;
print "$mails $addresses $dates $mirrors ", length $copy, " ", join(",", map { "$_=$count{$_}" } sort keys %count), "\n";
