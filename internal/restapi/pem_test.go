package restapi

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

func TestReadCSR(t *testing.T) {
	der := []byte{0x30, 0x03, 0x02, 0x01, 0x05}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	tests := []struct {
		name, in string
		good     bool
	}{
		{"PEM", block("CERTIFICATE REQUEST", der), true},
		{"PEM of Microsoft's tools", block("NEW CERTIFICATE REQUEST", der), true},
		{"PEM after text", "Subject: CN=x\n" + block("CERTIFICATE REQUEST", der), true},
		{"base64", base64.StdEncoding.EncodeToString(der), true},
		{"base64 in lines", "MAMC\r\nAQU=\r\n", true},
		{"certificate", block("CERTIFICATE", der), false},
		{"private key", block("PRIVATE KEY", der), false},
		{"two", block("CERTIFICATE REQUEST", der) + block("CERTIFICATE REQUEST", der), false},
		{"half a PEM", "-----BEGIN CERTIFICATE REQUEST-----\nMAMC", false},
		{"neither", "hello, world", false},
		{"empty", "", false},
		{"empty PEM", block("CERTIFICATE REQUEST", nil), false},
		{"too long", base64.StdEncoding.EncodeToString(make([]byte, maxCSR+1)), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readCSR(tt.in)
			switch {
			case tt.good && (err != nil || !bytes.Equal(got, der)):
				t.Errorf("got %x, %v", got, err)
			case tt.in == "" && !strings.Contains(pki.DetailOf(err), "it is empty"):
				t.Errorf("got %v, which does not say that it is empty", err)
			case !tt.good && pki.KindOf(err) != pki.Malformed:
				t.Errorf("got %x, %v; want a Malformed error", got, err)
			}
		})
	}
}

func FuzzReadCSR(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQU=\n-----END CERTIFICATE REQUEST-----\n")
	f.Add("MAMCAQU=")
	f.Fuzz(func(t *testing.T, text string) {
		der, err := readCSR(text)
		if err != nil && pki.KindOf(err) != pki.Malformed {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && (len(der) == 0 || len(der) > maxCSR) {
			t.Fatalf("%q gave %d bytes", text, len(der))
		}
		if err != nil && strings.Contains(err.Error(), "illegal base64") {
			t.Fatalf("the error shows its cause: %v", err)
		}
	})
}

// A certificate in PEM is what encoding/pem makes of it, whatever its length.
func TestCertificatePEM(t *testing.T) {
	for n := 1; n < 200; n++ {
		der := bytes.Repeat([]byte{byte(n)}, n)
		if got, want := certificatePEM(der), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); got != want {
			t.Fatalf("%d bytes: %q, want %q", n, got, want)
		}
	}
}
