package tbs_test

import (
	"bytes"
	"crypto/x509/pkix"
	"testing"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

func TestCutKey(t *testing.T) {
	request := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: "SM-000001"})
	csr, err := tbs.ParseCSR(request)
	if err != nil {
		t.Fatal(err)
	}
	spki := csr.Key.SPKI()
	for name, test := range map[string]struct{ spki, other []byte }{
		"its own key":  {spki, spki},
		"another key":  {[]byte("another"), spki},
		"without keys": {nil, nil},
	} {
		cut := tbs.CutKey(request, test.spki)
		got, err := tbs.RestoreKey(cut, test.other)
		if err != nil || !bytes.Equal(got, request) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	if cut := tbs.CutKey(request, spki); len(cut) != len(request)-len(spki)+1 {
		t.Errorf("%d bytes are left of %d with a key of %d", len(cut), len(request), len(spki))
	}
}

func FuzzRestoreKey(f *testing.F) {
	f.Add([]byte{0, 1, 2}, []byte("key"))
	f.Add([]byte{2, 1, 2}, []byte("key"))
	f.Add([]byte{}, []byte{})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, []byte("key"))
	f.Fuzz(func(t *testing.T, b, spki []byte) {
		if _, err := tbs.RestoreKey(b, spki); err != nil && pki.KindOf(err) != pki.Malformed {
			t.Error(err)
		}
		got, err := tbs.RestoreKey(tbs.CutKey(b, spki), spki)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%x without %x: %x, %v", b, spki, got, err)
		}
	})
}
