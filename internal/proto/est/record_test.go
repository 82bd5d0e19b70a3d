package est

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
)

// An issuer is an RA whose authority has, and that issues, one certificate.
type issuer struct {
	RA
	certificate []byte
}

func (i issuer) Admit(context.Context, string, string) error { return nil }

func (i issuer) CACertificates(context.Context, string, pki.Protocol) ([][]byte, error) {
	return [][]byte{i.certificate}, nil
}

func (i issuer) Enroll(context.Context, enroll.Request) (*pki.Enrollment, error) {
	return &pki.Enrollment{Certificate: &pki.Certificate{DER: i.certificate}}, nil
}

// TestRecords: a client that reads two TLS records at most, as strongSwan 5.9.8 does, gets
// the whole of an answer of any size, and a short one is sent at once.
func TestRecords(t *testing.T) {
	for _, size := range []int{1, 600, 1400, 1500, 1600, 3000, 12_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			certificate := der.Append(nil, asn1.SEQUENCE, make([]byte, size))
			s := New(Config{RA: issuer{certificate: certificate}, Prover: anybody{}, Log: slog.New(slog.DiscardHandler)})
			web := httptest.NewUnstartedServer(s.Handler(http.NotFoundHandler()))
			web.TLS = &tls.Config{DynamicRecordSizingDisabled: true} // as the listeners do
			web.StartTLS()
			defer web.Close()
			conn, err := tls.Dial("tcp", web.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET %sacme.device/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n", prefix)

			// Read returns what one record has left.
			first := make([]byte, 1024)
			n, err := conn.Read(first)
			if err != nil {
				t.Fatal(err)
			}
			head, begun, ended := bytes.Cut(first[:n], []byte("\r\n\r\n"))
			if !ended {
				t.Fatalf("the headers are not whole: %q", first[:n])
			}
			answer, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader("\r\n\r\n"))), nil)
			if err != nil {
				t.Fatal(err)
			}
			text := make([]byte, answer.ContentLength)
			rest := text[copy(text, begun):]
			if len(rest) > 0 {
				if n, err = conn.Read(rest); n < len(rest) {
					t.Fatalf("the second read has %d octets of %d, %v", n, len(rest), err)
				}
			}
			want, err := cms.CertsOnly([][]byte{certificate})
			if err != nil {
				t.Fatal(err)
			}
			if string(text) != base64.StdEncoding.EncodeToString(want) {
				t.Errorf("the body is %q", text)
			}
			if len(text) <= maxOneRecord && len(begun) == 0 {
				t.Errorf("a body of %d octets came in a record of its own", len(text))
			}
		})
	}
}
