package scep

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
)

func TestReply(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	nonce := bytes.Repeat([]byte{7}, nonceSize)
	m, err := readMessage(device.send(t, request{kind: pkcsReq, id: "a_b", nonce: nonce, content: []byte("x"), to: ra.certificate}))
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := cms.Encrypt(cms.Envelope{Content: []byte("a certificate"), Cipher: cms.AES128CBC}, cms.Recipient{Certificate: device.certificate})
	if err != nil {
		t.Fatal(err)
	}
	before := make([]byte, nonceSize)
	for name, c := range map[string]struct {
		reply    reply
		envelope []byte
		want     answer
	}{
		"success": {reply{status: statusSuccess}, envelope, answer{status: "0", content: []byte("a certificate")}},
		"pending": {reply{status: statusPending}, nil, answer{status: "3"}},
		"failure": {reply{status: statusFailure, failInfo: badCertID, text: "no such certificate"}, nil, answer{status: "2", failInfo: "4", text: "no such certificate"}},
		"silent":  {reply{status: statusFailure, failInfo: badAlg}, nil, answer{status: "2", failInfo: "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := ra.signer().sign(m, &c.reply, c.envelope)
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, raw, device.recipient())
			if got.id != "a_b" || !bytes.Equal(got.recipient, nonce) || len(got.sender) != nonceSize || bytes.Equal(got.sender, nonce) || bytes.Equal(got.sender, before) {
				t.Errorf("%+v", got)
			}
			before = got.sender
			if got.status != c.want.status || got.failInfo != c.want.failInfo || got.text != c.want.text || !bytes.Equal(got.content, c.want.content) || !bytes.Equal(got.signer, ra.certificate) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestShorten(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("ü", maxFailText), strings.Repeat("ü", maxFailText+1), "a\xffb"} {
		got := shorten(text)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxFailText {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	if got := shorten(strings.Repeat("ü", maxFailText)); strings.Contains(got, "…") {
		t.Error("what fits is cut")
	}
}

// TestEveryKindHasACode holds the table to what docs/glossary.md says of SCEP.
func TestEveryKindHasACode(t *testing.T) {
	want := map[pki.Kind]code{
		pki.Internal:        {badRequest, http.StatusInternalServerError, true},
		pki.Malformed:       {badRequest, http.StatusBadRequest, false},
		pki.BadProof:        {badMessageCheck, http.StatusBadRequest, false},
		pki.BadKey:          {badAlg, http.StatusBadRequest, false},
		pki.PolicyRefused:   {badRequest, http.StatusForbidden, false},
		pki.Forbidden:       {badRequest, http.StatusForbidden, false},
		pki.QuotaExceeded:   {badRequest, http.StatusForbidden, false},
		pki.Unauthenticated: {badMessageCheck, http.StatusForbidden, false},
		pki.NotFound:        {badCertID, http.StatusNotFound, false},
		pki.AlreadyRevoked:  {badRequest, http.StatusConflict, false},
		pki.DuplicateKey:    {badRequest, http.StatusConflict, false},
		pki.Conflict:        {badRequest, http.StatusConflict, false},
		pki.NotReady:        {badRequest, http.StatusConflict, false},
		pki.RateLimited:     {badRequest, http.StatusServiceUnavailable, true},
		pki.Unavailable:     {badRequest, http.StatusServiceUnavailable, true},
		pki.Pending:         {badRequest, http.StatusInternalServerError, true},
	}
	for _, kind := range pki.Kinds() {
		if got, ok := want[kind]; !ok || codeOf(kind) != got {
			t.Errorf("%s: %+v, want %+v", kind, codeOf(kind), got)
		}
	}
	if len(want) != len(pki.Kinds()) {
		t.Errorf("%d kinds are expected, there are %d", len(want), len(pki.Kinds()))
	}
	if got := codeOf(pki.KindOf(errors.New("of no kind"))); got != want[pki.Internal] {
		t.Errorf("an error without a kind: %+v", got)
	}
}
