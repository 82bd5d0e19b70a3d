package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/pandotest"
)

// A ledger is what an operator holds: the entries and the log's key. It writes the
// export that a server would write of them.
type ledger struct {
	leaves []Leaf
	signer *edSigner
	kept   []Checkpoint // sizes at which checkpoints were handed out, with the notes
	notes  []string
}

// edSigner is the note.Signer of a key in memory.
type edSigner struct {
	key  Key
	priv ed25519.PrivateKey
}

func (s *edSigner) Name() string                        { return s.key.Origin() }
func (s *edSigner) KeyHash() uint32                     { return s.key.Hash() }
func (s *edSigner) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.priv, message), nil }

var _ note.Signer = (*edSigner)(nil)

func newSigner(t testing.TB, origin string) *edSigner {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey(origin, public)
	if err != nil {
		t.Fatal(err)
	}
	return &edSigner{key, private}
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newLeaf returns a leaf of any kind that no other is like.
func newLeaf(random *mathrand.Rand, n int) Leaf {
	at := day.Add(time.Duration(n) * time.Second)
	serial := Serial{0: 0x41, 12: byte(n >> 16), 13: byte(n >> 8), 14: byte(n), 19: byte(random.Uint32())}
	switch random.IntN(4) {
	case 0:
		return Leaf{Event: &EventLeaf{ID: fmt.Sprintf("e%06d", n), At: at, Actor: "token:1 (admin)", Action: "endpoint.update", Target: "endpoint:meter", Detail: "profile 2"}}
	case 1:
		return Leaf{Revocation: &RevocationLeaf{Issuer: "issuer", Serial: serial, N: 1, Reason: 1, At: at, NotAfter: at.AddDate(1, 0, 0)}}
	}
	return Leaf{Certificate: &CertificateLeaf{Issuer: "issuer", Serial: serial, SHA256: Digest{byte(n), byte(n >> 8), byte(random.Uint32())}, Owner: "acme",
		Device: "SM-1", Profile: ProfileOfLeaf{"acme", "meter", 1}, Intent: "intent", Place: n, NotBefore: at, NotAfter: at.AddDate(1, 0, 0), Issued: at}}
}

func (l *ledger) tree() *reference {
	var tree reference
	for i := range l.leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), l.leaves[i].Hash(), tree)
		if err != nil {
			panic(err)
		}
		tree = append(tree, hashes...)
	}
	return &tree
}

func (l *ledger) sign(t testing.TB, tree *reference, size int64) (Checkpoint, string) {
	t.Helper()
	root, err := tlog.TreeHash(size, tree)
	if err != nil {
		t.Fatal(err)
	}
	c := Checkpoint{Origin: l.signer.Name(), Size: size, Root: root, Time: day.Add(time.Duration(size) * time.Second)}
	text, err := Sign(c, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	return c, text
}

// keep signs checkpoints of the sizes, as they were handed to anchors.
func (l *ledger) keep(t testing.TB, sizes ...int64) {
	t.Helper()
	tree := l.tree()
	l.kept, l.notes = nil, nil
	for _, size := range sizes {
		c, text := l.sign(t, tree, size)
		l.kept, l.notes = append(l.kept, c), append(l.notes, text)
	}
}

// export writes the entries from from up to to, with the kept checkpoints and the
// given newest one.
func (l *ledger) export(t testing.TB, from, to int64, newest Checkpoint, text string) []byte {
	t.Helper()
	return l.write(t, from, to, l.end(t, to, newest, text))
}

// end returns the end of an export up to to.
func (l *ledger) end(t testing.TB, to int64, newest Checkpoint, text string) (end End) {
	t.Helper()
	end = End{Checkpoint: text, Consistency: Consistency{From: to, To: newest.Size}}
	if to > 0 && to < newest.Size {
		var err error
		if end.Consistency.Hashes, err = tlog.ProveTree(newest.Size, to, l.tree()); err != nil {
			t.Fatal(err)
		}
	}
	return end
}

func (l *ledger) write(t testing.TB, from, to int64, end End) []byte {
	t.Helper()
	var b bytes.Buffer
	edge, err := Edge(from, l.tree())
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(&b, Header{Origin: l.signer.Name(), Key: l.signer.key.String(), From: from, To: to, Edge: edge})
	if err != nil {
		t.Fatal(err)
	}
	mark := func(size int64) {
		for i, c := range l.kept {
			if c.Size == size {
				if err := w.Checkpoint(l.notes[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	mark(from)
	for i := from; i < to; i++ {
		if err := w.Entry(&Entry{Index: i, Leaf: l.leaves[i]}); err != nil {
			t.Fatal(err)
		}
		mark(i + 1)
	}
	if err := w.End(end); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func newLedger(t testing.TB, random *mathrand.Rand, size int) *ledger {
	l := &ledger{signer: newSigner(t, "pando/deployment/tenant/acme")}
	for n := range size {
		l.leaves = append(l.leaves, newLeaf(random, n))
	}
	return l
}

func verify(t testing.TB, export []byte, cfg VerifyConfig) *Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(export), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestVerify: what was not touched verifies, whole and in parts.
func TestVerify(t *testing.T) {
	random := pandotest.Seeded(t)
	const size = 600
	l := newLedger(t, random, size)
	l.keep(t, 1, 100, 256, 300, 599)
	newest, text := l.sign(t, l.tree(), size)
	for _, part := range [][2]int64{{0, size}, {0, 0}, {0, 1}, {100, 300}, {256, size}, {599, 600}, {600, 600}} {
		r := verify(t, l.export(t, part[0], part[1], newest, text), VerifyConfig{Key: l.signer.key.String()})
		if !r.OK() || r.Size != size || r.Certificates+r.Events+r.Revocations != part[1]-part[0] {
			t.Errorf("part %v: %+v", part, r)
		}
	}
	r := verify(t, l.export(t, 100, size, newest, text), VerifyConfig{Since: append(slices.Clone(l.notes[1:]), text)})
	if !r.OK() || len(r.Since) != 5 || r.Checkpoints != 4 {
		t.Errorf("%+v", r)
	}
}

// TestMissingEntryIsSaidOnce: of an entry that was taken out there is one finding for
// the gap and one for the end, and none that compares a size with itself.
func TestMissingEntryIsSaidOnce(t *testing.T) {
	l := newLedger(t, pandotest.Seeded(t), 20)
	newest, text := l.sign(t, l.tree(), 20)
	lines := bytes.SplitAfter(l.export(t, 0, 20, newest, text), []byte("\n"))
	r := verify(t, bytes.Join(slices.Delete(lines, 8, 9), nil), VerifyConfig{Key: l.signer.key.String()})
	if len(r.Findings) != 2 || !strings.Contains(r.Findings[0], "follows") || !strings.Contains(r.Findings[1], "ends at index 19") {
		t.Errorf("findings %q", r.Findings)
	}
}

// The tampering of T31. Each changes what the operator holds, at or after index 0
// and before the given size, which a checkpoint covers.
var tampering = map[string]func(*mathrand.Rand, *ledger, int){
	"edit": func(r *mathrand.Rand, l *ledger, size int) {
		at := r.IntN(size)
		switch leaf := &l.leaves[at]; {
		case leaf.Certificate != nil:
			c := *leaf.Certificate
			[]func(){
				func() { c.Device = "SM-2" }, func() { c.SHA256[7]++ }, func() { c.Serial[9]++ }, func() { c.Lot = "other" },
				func() { c.Owner = "thief" }, func() { c.Issued = c.Issued.Add(time.Microsecond) }, func() { c.Profile.Version++ },
			}[r.IntN(7)]()
			leaf.Certificate = &c
		case leaf.Event != nil:
			e := *leaf.Event
			[]func(){func() { e.Actor = "token:2 (nobody)" }, func() { e.Detail = "" }, func() { e.Action, e.Target = e.Action+e.Target[:1], e.Target[1:] }}[r.IntN(3)]()
			leaf.Event = &e
		default:
			v := *leaf.Revocation
			[]func(){func() { v.Reason = 4 }, func() { v.At = v.At.Add(time.Hour) }, func() { v.N++ }}[r.IntN(3)]()
			leaf.Revocation = &v
		}
	},
	"delete": func(r *mathrand.Rand, l *ledger, size int) {
		at := r.IntN(size)
		l.leaves = slices.Delete(l.leaves, at, at+1)
	},
	"insert": func(r *mathrand.Rand, l *ledger, size int) {
		l.leaves = slices.Insert(l.leaves, r.IntN(size), newLeaf(r, 1<<20))
	},
	"reorder": func(r *mathrand.Rand, l *ledger, size int) {
		a, b := r.IntN(size), r.IntN(size-1)
		if b >= a {
			b++
		}
		l.leaves[a], l.leaves[b] = l.leaves[b], l.leaves[a]
	},
	"cut tail": func(r *mathrand.Rand, l *ledger, size int) { l.leaves = l.leaves[:r.IntN(size)] },
	"swap": func(r *mathrand.Rand, l *ledger, size int) {
		for i := range l.leaves {
			l.leaves[i] = newLeaf(r, 1<<21+i)
		}
	},
}

// TestTampering: of each kind of tampering, a thousand times at random, with the store
// alone and with the store and the log's key, the verifier finds every one.
func TestTampering(t *testing.T) {
	times := 1000
	if testing.Short() {
		times = 50
	}
	for name, tamper := range tampering {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := pandotest.Seeded(t)
			key, another := newSigner(t, "pando/deployment/tenant/acme"), newSigner(t, "pando/deployment/tenant/acme")
			missed := 0
			for range times {
				size := 2 + random.IntN(24)
				honest := newLedger(t, random, size)
				honest.signer = key
				since := 2 + random.IntN(size-1) // the checkpoint at the anchor, the last one before the tampering
				honest.keep(t, int64(since))
				anchored := honest.notes[0]
				_, newest := honest.sign(t, honest.tree(), int64(size))

				// With the store alone: the entries are changed, and what was signed
				// and can be proved of the honest log is shown with them.
				evil := &ledger{leaves: slices.Clone(honest.leaves), signer: honest.signer, kept: honest.kept, notes: honest.notes}
				tamper(random, evil, since)
				to := min(int64(len(evil.leaves)), int64(size))
				end := honest.end(t, to, Checkpoint{Size: int64(size)}, newest)
				export := evil.write(t, 0, to, end)
				if verify(t, export, VerifyConfig{Since: []string{anchored}}).OK() {
					missed++
				}
				// Without an older checkpoint too, unless the entries are but the
				// first ones of the log, which the report says.
				if r := verify(t, export, VerifyConfig{}); r.OK() && (name != "cut tail" && name != "delete" || r.To == r.Size) {
					missed++
				}

				// With the key as well: everything is signed anew. Only what was
				// anchored outside finds it.
				var sizes []int64
				if len(evil.leaves) >= since {
					sizes = append(sizes, int64(since))
				}
				evil.keep(t, sizes...)
				c, text := evil.sign(t, evil.tree(), int64(len(evil.leaves)))
				export = evil.export(t, 0, c.Size, c, text)
				if r := verify(t, export, VerifyConfig{}); !r.OK() {
					t.Fatalf("the attacker's own export does not hold together: %v", r.Findings)
				}
				if verify(t, export, VerifyConfig{Since: []string{anchored}}).OK() {
					missed++
				}

				// And with a key of their own.
				evil.signer = another
				evil.keep(t, sizes...)
				c, text = evil.sign(t, evil.tree(), c.Size)
				export = evil.export(t, 0, c.Size, c, text)
				if verify(t, export, VerifyConfig{Since: []string{anchored}}).OK() || verify(t, export, VerifyConfig{Key: honest.signer.key.String()}).OK() {
					missed++
				}
			}
			if missed > 0 {
				t.Errorf("%d times it was not found", missed)
			}
		})
	}
}

// TestVerifyRefuses what is no export, and an older checkpoint that is none.
func TestVerifyRefuses(t *testing.T) {
	random := pandotest.Seeded(t)
	l := newLedger(t, random, 10)
	l.keep(t, 5)
	c, text := l.sign(t, l.tree(), 10)
	export := l.export(t, 0, 10, c, text)
	lines := bytes.SplitAfter(export, []byte("\n"))
	for name, b := range map[string]string{
		"nothing":      "",
		"no JSON":      "-----BEGIN",
		"no header":    string(lines[1]),
		"two headers":  string(lines[0]) + string(lines[0]),
		"other format": strings.Replace(string(export), ExportFormat, "pando-log-export/2", 1),
		"unknown name": strings.Replace(string(export), `"format"`, `"x":1,"format"`, 1),
		"long line":    string(lines[0]) + strings.Repeat(" ", maxLine+1),
	} {
		if r, err := Verify(strings.NewReader(b), VerifyConfig{}); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := Verify(bytes.NewReader(export), VerifyConfig{Since: []string{"what"}}); err == nil {
		t.Error("a text that is no checkpoint was taken for one")
	}
	for name, b := range map[string][]byte{
		"without its end":     bytes.Join(lines[:len(lines)-2], nil),
		"with more behind":    append(slices.Clone(export), lines[1]...),
		"without an entry":    append(slices.Clone(bytes.Join(lines[:3], nil)), bytes.Join(lines[4:], nil)...),
		"with an empty line":  append(slices.Clone(lines[0]), append([]byte("{}\n"), bytes.Join(lines[1:], nil)...)...),
		"with an entry twice": append(slices.Clone(bytes.Join(lines[:3], nil)), bytes.Join(lines[2:], nil)...),
	} {
		if verify(t, b, VerifyConfig{}).OK() {
			t.Errorf("%s it was accepted", name)
		}
	}
	_, other := newLedger(t, random, 3).sign(t, newLedger(t, random, 3).tree(), 3)
	if verify(t, export, VerifyConfig{Since: []string{other}}).OK() {
		t.Error("a checkpoint of another log was accepted")
	}
}

// TestLogged: an export says itself where the store has something else than what was
// logged.
func TestLogged(t *testing.T) {
	l := newLedger(t, pandotest.Seeded(t), 3)
	c, text := l.sign(t, l.tree(), 3)
	logged := l.leaves[1].Hash()
	for name, leaf := range map[string]Leaf{"gone": {}, "changed": l.leaves[2]} {
		var b bytes.Buffer
		w, err := NewWriter(&b, Header{Origin: l.signer.Name(), Key: l.signer.key.String(), To: 3})
		if err != nil {
			t.Fatal(err)
		}
		for i := range l.leaves {
			e := Entry{Index: int64(i), Leaf: l.leaves[i]}
			if i == 1 {
				e.Leaf, e.Logged = leaf, &logged
			}
			if err := w.Entry(&e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(End{Checkpoint: text, Consistency: Consistency{From: c.Size, To: c.Size}}); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, b.Bytes(), VerifyConfig{}); r.Total != 1 || !strings.HasPrefix(r.Findings[0], "index 1: what") {
			t.Errorf("%s: %v", name, r.Findings)
		}
	}
}

// TestProofs: what is proved verifies, and nothing else does.
func TestProofs(t *testing.T) {
	l := newLedger(t, pandotest.Seeded(t), 20)
	tree := l.tree()
	c, text := l.sign(t, tree, 20)
	for i := range int64(20) {
		hashes, err := tlog.ProveRecord(20, i, tree)
		if err != nil {
			t.Fatal(err)
		}
		p := &Inclusion{Index: i, Leaf: l.leaves[i], Hashes: hashes, Checkpoint: text, Key: l.signer.key.String()}
		if got, err := p.Verify(); err != nil || got != c {
			t.Errorf("index %d: %+v, %v", i, got, err)
		}
		wrong := *p
		wrong.Leaf = l.leaves[(i+1)%20]
		if _, err := wrong.Verify(); err == nil {
			t.Errorf("index %d: another leaf is proved too", i)
		}
		wrong = *p
		wrong.Index = i + 20
		if _, err := wrong.Verify(); err == nil {
			t.Errorf("index %d: another index is proved too", i)
		}
		wrong = *p
		wrong.Key = newSigner(t, l.signer.Name()).key.String()
		if _, err := wrong.Verify(); err == nil {
			t.Errorf("index %d: another key is believed", i)
		}
	}
	older, _ := l.sign(t, tree, 7)
	hashes, err := tlog.ProveTree(20, 7, tree)
	if err != nil {
		t.Fatal(err)
	}
	p := &Consistency{From: 7, To: 20, Hashes: hashes}
	if err := p.Verify(older.Root, c.Root); err != nil {
		t.Error(err)
	}
	if p.Verify(c.Root, older.Root) == nil || (&Consistency{From: 20, To: 20}).Verify(older.Root, c.Root) == nil {
		t.Error("another tree is proved too")
	}
	empty, _ := l.sign(t, tree, 0)
	none := &Consistency{To: 20}
	if err := errors.Join(p.Connect(older, c), none.Connect(empty, c), (&Consistency{From: 20, To: 20}).Connect(c, c)); err != nil {
		t.Error(err)
	}
	smaller, foreign := older, older
	smaller.Size, foreign.Origin = 6, "another"
	empty.Root = older.Root
	for name, err := range map[string]error{"another size": p.Connect(smaller, c), "another origin": p.Connect(foreign, c), "the other way": p.Connect(c, older), "no empty tree": none.Connect(empty, c)} {
		if err == nil {
			t.Errorf("%s: it is proved too", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	l := newLedger(f, mathrand.New(mathrand.NewPCG(1, 0)), 6)
	l.keep(f, 4)
	c, text := l.sign(f, l.tree(), 6)
	f.Add(l.export(f, 0, 6, c, text), text)
	f.Add(l.export(f, 4, 5, c, text), l.notes[0])
	f.Fuzz(func(t *testing.T, export []byte, since string) {
		r, err := Verify(bytes.NewReader(export), VerifyConfig{Since: SplitNotes(since)})
		if err == nil && r.OK() && r.Key == l.signer.key.String() && r.Certificates+r.Events+r.Revocations > 6 {
			t.Errorf("more than was logged: %+v", r)
		}
	})
}
