package statuscheck

import "testing"

// TestAddresses: what a tenant's status URL may lead to, once its name is resolved.
func TestAddresses(t *testing.T) {
	for address, want := range map[string][2]bool{ // for test authorities, for others
		"192.0.2.1:80": {true, true}, "10.1.2.3:80": {true, true}, "[2001:db8::1]:80": {true, true},
		"127.0.0.1:80": {true, false}, "[::1]:80": {true, false}, "[::ffff:127.0.0.1]:80": {true, false},
		"169.254.169.254:80": {}, "[fe80::1]:80": {}, "[::ffff:169.254.169.254]:80": {},
		"100.100.100.200:80": {}, "[fd00:ec2::254]:80": {}, "[64:ff9b::a9fe:a9fe]:80": {}, "100.100.100.201:80": {true, true},
		"0.0.0.0:80": {}, "[::]:80": {}, "224.0.0.1:80": {}, "nonsense": {},
	} {
		for n, loopback := range []bool{true, false} {
			if got := checkAddress(address, loopback) == nil; got != want[n] {
				t.Errorf("%s, loopback %t: taken %t", address, loopback, got)
			}
		}
	}
}
