package ceremony_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
)

// TestAgain: what was signed is had again from the journal, without the passphrase
// and without the sealed file.
func TestAgain(t *testing.T) {
	sealed, root := newRoot(t)
	csr, _ := newCSR(t, pki.P256)
	request, crl := certificateRequest(t, root, csr), crlRequest(root, 3)
	_, err := ceremony.Answer(sealed, request)
	checkError(t, err, pki.NotFound, "was not signed with this root")
	want, err := ceremony.Sign(t.Context(), signConfig(sealed, request))
	if err != nil {
		t.Fatal(err)
	}
	wantCRL, err := ceremony.Sign(t.Context(), signConfig(sealed, crl))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(sealed); err != nil {
		t.Fatal(err)
	}
	der, err := ceremony.Certificate(sealed)
	if err != nil || !bytes.Equal(der, root.Raw) {
		t.Errorf("the root's certificate: %v", err)
	}
	got, err := ceremony.Answer(sealed, request)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	gotCRL, err := ceremony.Answer(sealed, crl)
	if diff := cmp.Diff(wantCRL, gotCRL); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	other := *request
	other.CommonName = "Another"
	_, err = ceremony.Answer(sealed, &other)
	checkError(t, err, pki.NotFound, "no answer to this request")
	_, err = ceremony.Certificate(sealed + ".other")
	checkError(t, err, pki.NotFound, "is missing")
}

// TestSignTwice: one request is signed once, unless it is said that it is to be
// signed again.
func TestSignTwice(t *testing.T) {
	sealed, root := newRoot(t)
	csr, _ := newCSR(t, pki.P256)
	request := certificateRequest(t, root, csr)
	first, err := ceremony.Sign(t.Context(), signConfig(sealed, request))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(sealed + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	_, err = ceremony.Sign(t.Context(), signConfig(sealed, request))
	checkError(t, err, pki.Conflict, "was signed already")
	if after, err := os.ReadFile(sealed + ".journal"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the refusal is in the journal; %v", err)
	}
	cfg := signConfig(sealed, request)
	cfg.Again = true
	second, err := ceremony.Sign(t.Context(), cfg)
	if err != nil || bytes.Equal(first.Certificate, second.Certificate) {
		t.Errorf("again: %v", err)
	}
	if last, err := ceremony.Answer(sealed, request); err != nil || !bytes.Equal(last.Certificate, second.Certificate) {
		t.Errorf("the answer is not the last one: %v", err)
	}
}

// TestInterrupted: an interrupt before an act leaves nothing of it.
func TestInterrupted(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := ceremony.NewRoot(over, rootConfig(t, filepath.Join(dir, "root.sealed"))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v; %v", left, err)
	}
	sealed, root := newRoot(t)
	before, err := os.ReadFile(sealed + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.Sign(over, signConfig(sealed, crlRequest(root, 1))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if after, err := os.ReadFile(sealed + ".journal"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the journal has grown; %v", err)
	}
}
