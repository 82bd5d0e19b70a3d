package statuscheck

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// TestAddresses: what a tenant's status URL may lead to, once its name is resolved.
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
				if got := checkAddress(address, networks, test) == nil; got != may {
					t.Errorf("%s, listed %t, for a test authority %t: taken %t", address, networks != nil, test, got)
				}
			}
		}
	}
}

// TestReadLike: what is read is bounded by the CRL that is expected, and what is the
// same as that is not held twice.
func TestReadLike(t *testing.T) {
	expected := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	other := bytes.Clone(expected)
	other[100_000]++
	for what, body := range map[string][]byte{
		"the same": expected, "shorter": expected[:40_000], "nothing": {}, "longer": append(bytes.Clone(expected), 1, 2, 3), "another": other,
		"another at its end": append(bytes.Clone(expected[:len(expected)-1]), 0), "the longest": make([]byte, bound(expected)),
	} {
		for _, from := range []io.Reader{bytes.NewReader(body), iotest.HalfReader(bytes.NewReader(body))} {
			got, err := readLike(from, expected)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %d bytes, %v", what, len(got), err)
			}
			if bytes.HasPrefix(expected, body) && len(body) > 0 && &got[0] != &expected[0] {
				t.Errorf("%s: it is held twice", what)
			}
		}
	}
	endless := &counted{}
	if _, err := readLike(endless, expected); err == nil || !strings.Contains(err.Error(), "much longer") || errors.Is(err, errUnreachable) {
		t.Errorf("an endless one: %v", err)
	}
	if endless.n > bound(expected)+64<<10 {
		t.Errorf("%d bytes were read of an endless one", endless.n)
	}
	if _, err := readLike(io.MultiReader(bytes.NewReader(expected), iotest.ErrReader(io.ErrClosedPipe)), expected); !errors.Is(err, errUnreachable) {
		t.Errorf("one that breaks off: %v", err)
	}
}

// counted has no end.
type counted struct{ n int64 }

func (c *counted) Read(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
