package tbs

import (
	"bytes"
	"crypto"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/internal/pki"
)

func parseCertificate(t testing.TB, certificate []byte) *Parsed {
	t.Helper()
	p, err := ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestOCSPRequestAgainstXCrypto has x/crypto/ocsp make the same request, and our own
// parser read what it cannot.
func TestOCSPRequestAgainstXCrypto(t *testing.T) {
	r := newResponder(t)
	issuer := parseCertificate(t, r.issuer.Raw)
	serial, err := pki.SerialFromBytes(r.cert.SerialNumber.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		want, err := ocsp.CreateRequest(r.cert, r.issuer, &ocsp.RequestOptions{Hash: hash})
		if err != nil {
			t.Fatal(err)
		}
		id := AppendCertID(nil, hash, issuer, serial)
		if got := AppendOCSPRequest(nil, [][]byte{id}, nil); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", hash, got, want)
		}
		nonce := []byte("0123456789abcdef0123456789abcdef")
		got, err := ParseOCSPRequest(AppendOCSPRequest([]byte("before"), [][]byte{id, id}, nonce)[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if len(got.IDs) != 2 || got.IDs[1].Serial != serial || got.IDs[1].Hash != hash || !bytes.Equal(got.Nonce, nonce) {
			t.Errorf("%s: %+v", hash, got)
		}
	}
}

func TestParseOCSPResponse(t *testing.T) {
	r := newResponder(t)
	issuer := parseCertificate(t, r.issuer.Raw)
	response := r.respond(t, ocspAnswers(), []byte{1, 2, 3})
	got, err := ParseOCSPResponse(response)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ocspAnswers(), got.Singles); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if !bytes.Equal(got.Nonce, []byte{1, 2, 3}) || got.Error != 0 || !bytes.Equal(got.ResponderKey, r.key.KeyID()) ||
		!got.ProducedAt.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", got)
	}
	within := r.cert.NotBefore.Add(time.Hour)
	signer, err := got.Verify(issuer, within)
	if err != nil || !bytes.Equal(signer.Raw, r.cert.Raw) {
		t.Errorf("signed by %+v, %v", signer, err)
	}
	_, err = got.Verify(issuer, r.cert.NotAfter.Add(time.Hour))
	wantKind(t, err, pki.Forbidden)
	_, err = got.Verify(parseCertificate(t, newResponder(t).issuer.Raw), within)
	wantKind(t, err, pki.Forbidden)
	damaged := bytes.Clone(response)
	damaged[bytes.Index(damaged, []byte{1, 2, 3})]++
	if got, err = ParseOCSPResponse(damaged); err != nil {
		t.Fatal(err)
	}
	_, err = got.Verify(issuer, within)
	wantKind(t, err, pki.BadProof)
	if got, err = ParseOCSPResponse(OCSPError(OCSPTryLater)); err != nil || got.Error != OCSPTryLater {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOCSPVerifyPurpose: a certificate of the issuer that is not for OCSP signs no
// answers, and the issuer itself does.
func TestOCSPVerifyPurpose(t *testing.T) {
	r := newResponder(t)
	issuer := parseCertificate(t, r.issuer.Raw)
	response, err := ParseOCSPResponse(r.respond(t, ocspAnswers(), nil))
	if err != nil {
		t.Fatal(err)
	}
	response.Certificates = [][]byte{r.issuer.Raw}
	_, err = response.Verify(issuer, r.cert.NotBefore)
	wantKind(t, err, pki.Forbidden) // none that it names
	response.Certificates, response.ResponderKey = nil, nil
	response.Responder = issuer.Subject
	_, err = response.Verify(issuer, r.cert.NotBefore)
	wantKind(t, err, pki.BadProof)
}

func FuzzParseOCSPResponse(f *testing.F) {
	r := newResponder(f)
	f.Add(r.respond(f, ocspAnswers(), []byte{1}))
	f.Add(OCSPError(OCSPInternalError))
	f.Fuzz(func(t *testing.T, response []byte) {
		got, err := ParseOCSPResponse(response)
		if err != nil || got.Error != 0 {
			return
		}
		want, err := ocsp.ParseResponse(response, nil)
		if err != nil || len(got.Singles) != 1 {
			return
		}
		if !got.Singles[0].ThisUpdate.Equal(want.ThisUpdate) || int(got.Singles[0].Status) != want.Status || got.Singles[0].Reason != pki.Reason(want.RevocationReason) {
			t.Errorf("got %+v, x/crypto/ocsp %+v", got.Singles[0], want)
		}
	})
}
