//go:build system

package acceptance

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// withinRequest is how soon after a request is with the server the server is killed, at
// the latest: most are answered by then.
const withinRequest = 15 * time.Millisecond

// TestESTKill kills the server while strongSwan enrols by a secret that is good for one
// certificate, at a random moment after its request came. It asks again with the same
// request when the server is there again: it gets one certificate, the one that it may
// have got before, and the store is sound.
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
	lost, recorded := 0, 0
	for i := range kills {
		name := "killed-" + strconv.Itoa(i)
		one := newDevice(name)
		sent, through := requestsTo(t, h.file.Devices)
		answered := make(chan error, 1)
		go func() {
			_, err := one.with("BASE="+through).try(t, enrol)
			answered <- err
		}()
		<-sent
		time.Sleep(time.Duration(random.Int64N(int64(withinRequest))))
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
	t.Logf("of %d enrolments %d were cut off, and %d were recorded when the server was there again", kills, lost, recorded)
}

// requestsTo returns the URL of a way to a server with TLS, for one connection, and a
// channel that is closed when a client's first request goes that way.
func requestsTo(t *testing.T, server string) (sent <-chan struct{}, url string) {
	t.Helper()
	host, err := hostOf(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	came := make(chan struct{})
	go func() {
		defer close(came) // also where nothing comes: the test goes on, and fails
		defer l.Close()
		client, err := l.Accept()
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", host)
		if err != nil {
			client.Close()
			return
		}
		go func() {
			defer client.Close()
			_, _ = io.Copy(client, there) // until the server is killed
		}()
		const applicationData = 23 // RFC 5246, 6.2.1
		for {
			record := make([]byte, 5)
			if _, err := io.ReadFull(client, record); err != nil {
				return
			}
			kind, length := record[0], int(binary.BigEndian.Uint16(record[3:]))
			record = append(record, make([]byte, length)...)
			if _, err := io.ReadFull(client, record[5:]); err != nil {
				return
			}
			if _, err := there.Write(record); err != nil {
				return
			}
			if kind == applicationData {
				go func() {
					defer there.Close()
					_, _ = io.Copy(there, client) // the rest, until the client goes away
				}()
				return
			}
		}
	}()
	return came, "https://" + l.Addr().String()
}
