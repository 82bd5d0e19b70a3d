package cli

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/audit"
)

// A logKey signs the checkpoints of a log.
type logKey struct {
	audit.Key
	private ed25519.PrivateKey
}

func (k *logKey) Name() string                        { return k.Origin() }
func (k *logKey) KeyHash() uint32                     { return k.Hash() }
func (k *logKey) Sign(message []byte) ([]byte, error) { return ed25519.Sign(k.private, message), nil }

var _ note.Signer = (*logKey)(nil)

func newLogKey(t *testing.T, origin string) *logKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.NewKey(origin, public)
	if err != nil {
		t.Fatal(err)
	}
	return &logKey{key, private}
}

// A history is a log of one certificate, at index 2, among events.
type history struct {
	*testing.T
	key    *logKey
	leaves []audit.Leaf
	hashes storedHashes
}

// storedHashes are every hash of a tree, as package tlog numbers them.
type storedHashes []tlog.Hash

func (h storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, h[i])
	}
	return out, nil
}

var (
	keptDER = []byte("a certificate")
	keptAt  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func newHistory(t *testing.T, key *logKey, name string, size int) *history {
	t.Helper()
	h := &history{T: t, key: key}
	for i := range size {
		leaf := audit.Leaf{Event: &audit.EventLeaf{ID: fmt.Sprint(name, i), At: keptAt}}
		if i == 2 {
			leaf = audit.Leaf{Certificate: &audit.CertificateLeaf{Issuer: "issuer", Serial: audit.Serial{19: 1}, SHA256: sha256.Sum256(keptDER), NotBefore: keptAt, NotAfter: keptAt, Issued: keptAt}}
		}
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), leaf.Hash(), h.hashes)
		if err != nil {
			t.Fatal(err)
		}
		h.leaves, h.hashes = append(h.leaves, leaf), append(h.hashes, hashes...)
	}
	return h
}

// note returns a signed checkpoint.
func (h *history) note(size int64) string {
	h.Helper()
	root, err := tlog.TreeHash(size, h.hashes)
	if err != nil {
		h.Fatal(err)
	}
	text, err := audit.Sign(audit.Checkpoint{Origin: h.key.Origin(), Size: size, Root: root, Time: keptAt.Add(time.Duration(size) * time.Second)}, h.key)
	if err != nil {
		h.Fatal(err)
	}
	return text
}

// serve is the server's API, of a token whose tenant's log has the key own.
func (h *history) serve(own *logKey) http.HandlerFunc {
	size := int64(len(h.leaves))
	return func(w http.ResponseWriter, r *http.Request) {
		var answer any
		var err error
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/log/checkpoint"):
			answer = client.Checkpoint{Checkpoint: h.note(size), Key: own.String()}
		case strings.HasSuffix(path, "/log/consistency"):
			p := audit.Consistency{To: size}
			if p.From, err = strconv.ParseInt(r.URL.Query().Get("from"), 10, 64); err == nil {
				p.Hashes, err = tlog.ProveTree(size, p.From, h.hashes)
			}
			answer = p
		case strings.HasSuffix(path, "/proof"):
			p := audit.Inclusion{Index: 2, Leaf: h.leaves[2], Checkpoint: h.note(size), Key: h.key.String()}
			p.Hashes, err = tlog.ProveRecord(size, 2, h.hashes)
			answer = p
		default:
			answer = client.Certificate{Issuer: "issuer", Serial: "01", Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: keptDER}))}
		}
		if err != nil {
			h.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.MarshalWrite(w, answer); err != nil {
			h.Error(err)
		}
	}
}

// TestCertShowSince: the log in which a certificate is shown is held against the
// checkpoints that somebody kept.
func TestCertShowSince(t *testing.T) {
	key := newLogKey(t, "pando/deployment/tenant/acme")
	log, fork := newHistory(t, key, "true", 300), newHistory(t, key, "other", 400)
	replaced := newHistory(t, newLogKey(t, key.Origin()), "true", 300)
	another := newHistory(t, newLogKey(t, "pando/deployment/tenant/other"), "true", 300)
	many := ""
	for size := range int64(150) {
		many += log.note(size+1) + "\n"
	}
	broken := strings.Replace(log.note(20), "\n20\n", "\n21\n", 1)
	for name, test := range map[string]struct {
		kept string
		own  *logKey // of the token's tenant; nil is that of the log
		want string  // what is said, or of an error
		ok   bool
	}{
		"one":                       {kept: log.note(20), want: "kept        consistent with the checkpoint of size 20 of 2026-03-01 12:00:20Z\n", ok: true},
		"the log's own":             {kept: log.note(300), want: "checkpoint of size 300 of", ok: true},
		"of no entries":             {kept: log.note(0), want: "checkpoint of size 0 of", ok: true},
		"several":                   {kept: log.note(30) + "\n" + log.note(7) + "\n" + log.note(30), want: "size 30 of 2026-03-01 12:00:30Z and 1 older\n", ok: true},
		"many":                      {kept: many, want: "size 150 of 2026-03-01 12:02:30Z and 99 older; 50 still older were not compared", ok: true},
		"of another history":        {kept: fork.note(20), want: "the log was rewritten: its first 20 entries are not proved to be those of the checkpoint of 2026-03-01 12:00:20Z"},
		"of another, of its size":   {kept: fork.note(300), want: "the log was rewritten"},
		"of another, among others":  {kept: log.note(30) + "\n" + fork.note(7) + "\n" + log.note(40), want: "its first 7 entries"},
		"two of a size":             {kept: log.note(30) + "\n" + fork.note(30), want: "its first 30 entries"},
		"larger":                    {kept: fork.note(301), want: "has 301 entries and the log that the server shows 300: its tail was cut"},
		"of another key":            {kept: replaced.note(20), want: "not one of this log and key"},
		"of another log":            {kept: another.note(20), want: "not one of this log and key"},
		"with a broken signature":   {kept: broken, want: "not one of this log and key"},
		"of another tenant's log":   {kept: log.note(20), own: another.key, want: "not that of the token's tenant"},
		"none in the file":          {kept: "nothing", want: "no signed checkpoint in it"},
		"a note, and no checkpoint": {kept: strings.Replace(log.note(20), "time ", "at ", 1), want: "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.own == nil {
				test.own = key
			}
			server := httptest.NewServer(log.serve(test.own))
			defer server.Close()
			cl, err := client.New(client.Config{Server: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "kept")
			if err := os.WriteFile(file, []byte(test.kept), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			show := &certShow{certName: certName{"issuer", "01"}, Since: []string{file}}
			err = show.Run(t.Context(), &console{out: &out}, cl)
			if said := out.String(); test.ok && (err != nil || !strings.Contains(said, test.want)) {
				t.Errorf("%v\n%s", err, said)
			}
			if !test.ok && (err == nil || !strings.Contains(err.Error(), test.want) || out.Len() > 0) {
				t.Errorf("%v\n%s", err, &out)
			}
		})
	}
}
