package egress

import (
	"net/netip"
	"testing"
)

// TestAddresses: what a URL that is somebody else's word may lead to, once its name is resolved.
func TestAddresses(t *testing.T) {
	listed := prefixes("10.1.0.0/16", "127.0.0.0/8", "::1/128", "169.254.0.0/16", "168.63.129.0/24", "2001:db8::/32", "fd00::/8", "100.64.0.0/10", "64:ff9b::/96")
	for address, want := range map[string]string{
		"192.0.2.1:80": "public", "168.63.129.17:80": "public", "[2600::1]:80": "public", "100.128.0.1:80": "public",
		"10.1.2.3:80": "listed", "[::ffff:10.1.2.3]:80": "listed", "[fd12::1]:80": "listed", "100.100.100.201:80": "listed", "[2001:db8::1]:80": "listed",
		"192.88.99.1:80": "no", "[::ffff:0:7f00:1]:80": "no", "[100::1]:80": "no", "[3fff::1]:80": "no", "[5f00::1]:80": "no", "168.63.129.16:80": "no",
		"10.2.0.1:80": "no", "192.168.1.1:80": "no", "172.16.0.1:80": "no", "[fc00::1]:80": "no", "0.1.2.3:80": "no", "[2002:a01:203::1]:80": "no", "[::10.1.2.3]:80": "no",
		"127.0.0.1:80": "listed, for tests", "[::1]:80": "listed, for tests", "[::ffff:127.0.0.1]:80": "listed, for tests",
		"169.254.169.254:80": "no", "[fe80::1]:80": "no", "[fe80::1%eth0]:80": "no", "[::ffff:169.254.169.254]:80": "no",
		"100.100.100.200:80": "no", "[fd00:ec2::254]:80": "no", "[64:ff9b::a9fe:a9fe]:80": "no", "0.0.0.0:80": "no", "[::]:80": "no", "224.0.0.1:80": "no", "nonsense": "no",
	} {
		for _, networks := range [][]netip.Prefix{nil, listed} {
			for _, test := range []bool{false, true} {
				may := want == "public" || networks != nil && (want == "listed" || want == "listed, for tests" && test)
				if got := Check(address, networks, test) == nil; got != may {
					t.Errorf("%s, listed %t, loopback %t: taken %t", address, networks != nil, test, got)
				}
			}
		}
	}
}

// TestCheckURL: what is taken as the URL of a service.
func TestCheckURL(t *testing.T) {
	for text, want := range map[string]bool{
		"https://service.example.com/pando": true, "https://10.0.0.1:8443": true, "http://127.0.0.1:1234/": true, "http://localhost": true, "http://[::1]:1/": true,
		"http://service.example.com": false, "ftp://service.example.com": false, "https://user@service.example.com": false, "https:///": false, "service.example.com": false, "https://a#b": false, "": false, "%": false,
	} {
		if got := CheckURL(text) == nil; got != want {
			t.Errorf("%q: taken %t", text, got)
		}
	}
}
