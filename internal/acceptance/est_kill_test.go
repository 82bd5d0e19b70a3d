//go:build system

package acceptance

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// TestESTKill kills the server while strongSwan enrols by a secret that is good for one
// certificate, at a random moment of each time. It asks again with the same request when
// the server is there again: it gets one certificate, the one that it may have got
// before, and the store is sound.
func TestESTKill(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 4
	}
	random := seeded(t)
	h := newHouse(t, 2)
	h.serve(t)
	b := h.newBench(t)
	const enrol = `pki --est --url $BASE --in $NAME.csr --cacert $TLS_CA --userpass $SECRET_ID:$SECRET --outform pem > $NAME.pem`
	// newDevice makes a request and the secret for it.
	newDevice := func(name string) bench {
		t.Helper()
		made, err := h.as(t, "").CreateSecret(t.Context(), client.NewSecret{Endpoint: "device", Device: name, Once: true, LifeSeconds: 3600})
		if err != nil {
			t.Fatal(err)
		}
		one := b.with("NAME="+name, "SECRET_ID="+made.ID, "SECRET="+made.Secret.Reveal())
		one.run(t, `pki --gen --type ecdsa --size 256 --outform pem > $NAME.key; pki --req --in $NAME.key --dn CN=$NAME > $NAME.csr`)
		return one
	}
	var takes time.Duration
	for i := range 3 { // the first pays for what a new server does once
		one := newDevice("undisturbed-" + strconv.Itoa(i))
		begun := time.Now()
		one.run(t, enrol)
		takes = time.Since(begun)
	}
	lost, recorded := 0, 0
	for i := range kills {
		name := "killed-" + strconv.Itoa(i)
		one := newDevice(name)
		answered := make(chan error, 1)
		go func() {
			_, err := one.try(t, enrol)
			answered <- err
		}()
		time.Sleep(takes/4 + time.Duration(random.Int64N(int64(takes)))) // a quarter is the client's start
		h.server.kill(t)
		var first []byte
		if err := <-answered; err != nil {
			lost++
		} else if first, err = os.ReadFile(filepath.Join(b.dir, name+".pem")); err != nil {
			t.Fatal(err)
		}
		h.serve(t)
		if before, err := h.as(t, "").Certificates(t.Context(), client.CertificateQuery{Device: name}, "", 1); err != nil {
			t.Fatal(err)
		} else if recorded += len(before.Items); first != nil && len(before.Items) == 0 {
			t.Errorf("%s got a certificate that is not there after the kill", name)
		}
		one.run(t, enrol)
		if again, err := os.ReadFile(filepath.Join(b.dir, name+".pem")); err != nil || first != nil && !bytes.Equal(first, again) {
			t.Errorf("%s got another certificate after the kill: %v", name, err)
		}
		h.have(t, 1, name)
		if out, err := one.try(t, `openssl verify -CAfile $TLS_CA -untrusted `+h.file.Authorities["manufacturing"].Chain+` $NAME.pem
			openssl x509 -in $NAME.pem -noout -pubkey | cmp - <(openssl pkey -in $NAME.key -pubout)`); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	h.stop(t)
	h.check(t, "")
	t.Logf("of %d enrolments %d were cut off, and %d were recorded when the server was there again; one takes %v", kills, lost, recorded, takes)
}
