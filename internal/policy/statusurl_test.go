package policy

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func TestCheckStatusURL(t *testing.T) {
	const form, host, port, dots, loopback = "it is http://HOST", "neither a DNS name", "from 1 to 65535", "segment", "loopback"
	for _, row := range []struct {
		base string
		want string // of the refusal in production; "" is none
	}{
		{"http://pki.example.com", ""},
		{"http://pki.example.com:8080", ""},
		{"http://pki.example.com/status", ""},
		{"http://pki.example.com:80/a/b-c_d~e.f/1", ""},
		{"http://pki", ""},
		{"http://192.0.2.1", ""},
		{"http://[2001:db8::1]:8080/x", ""},
		{"http://pki.example.com/..a/b..", ""},
		{"http://h/" + strings.Repeat("a", maxStatusURL-9), ""},

		{"", form},
		{"http://", form},
		{"pki.example.com", form},
		{"//pki.example.com", form},
		{"https://pki.example.com", form},
		{"HTTP://pki.example.com", form},
		{"http:pki.example.com", form},
		{"http://LOCALHOST", form},
		{"http://Pki.example.com", form},
		{"http://*.example.com", form},
		{"http://user@pki.example.com", form},
		{"http://pki.example.com/", form},
		{"http://pki.example.com//a", form},
		{"http://pki.example.com/x?", form},
		{"http://pki.example.com/x?y", form},
		{"http://pki.example.com?", form},
		{"http://pki.example.com/x#", form},
		{"http://pki.example.com/é", form},
		{"http://pki.example.com/%C3%A9", form},
		{"http://pki.example.com/%2e%2e", form},
		{"http://pki.example.com/a b", form},
		{"http://pki.example.com/a\\b", form},
		{"http://pki.example.com\n", form},
		{"http://pki.example.com/x\n", form},
		{"http://pki.example.com:", form},
		{"http://pki.example.com:+80", form},
		{"http://:80", form},
		{"http://[]", form},
		{"http://[192.0.2.1]", form},
		{"http://[fe80::1%25eth0]", form},
		{"http://2001:db8::1", form},
		{"http://h/" + strings.Repeat("a", maxStatusURL-8), form},

		{"http://localhost.", host},
		{"http://pki.example.com.", host},
		{"http://pki..example.com", host},
		{"http://-pki.example.com", host},
		{"http://127.1", host},
		{"http://2130706433", host},
		{"http://192.0.2.01", host},
		{"http://192.0.2.256", host},
		{"http://[::ffff:127.0.0.1]", host},
		{"http://[2001:db8::1::]", host},

		{"http://pki.example.com:0", port},
		{"http://pki.example.com:080", port},
		{"http://pki.example.com:65536", port},
		{"http://pki.example.com:99999", port},
		{"http://pki.example.com:18446744073709551617", port},

		{"http://pki.example.com/..", dots},
		{"http://pki.example.com/a/../b", dots},
		{"http://pki.example.com/./b", dots},

		{"http://localhost", loopback},
		{"http://localhost:8080/x", loopback},
		{"http://pki.localhost", loopback},
		{"http://127.0.0.1:8080", loopback},
		{"http://127.255.255.254", loopback},
		{"http://0.0.0.0", loopback},
		{"http://[::1]", loopback},
		{"http://[0:0:0:0:0:0:0:1]:80", loopback},
		{"http://[::]", loopback},
	} {
		kind := pki.Malformed
		if row.want == loopback {
			kind = pki.PolicyRefused
			if err := CheckStatusURL(row.base, pki.Test); err != nil {
				t.Errorf("%s for tests: %v", row.base, err)
			}
		}
		err := CheckStatusURL(row.base, pki.Production)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%q: %v", row.base, err)
		case row.want != "" && (err == nil || pki.KindOf(err) != kind || !strings.Contains(pki.DetailOf(err), row.want)):
			t.Errorf("%q: %v, want %v: %s", row.base, err, kind, row.want)
		}
	}
}
