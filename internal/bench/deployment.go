package bench

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/quickstart"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// A deployment is one with the story's hierarchy whose server is stopped, so that
// its store can be filled through the store's own interface: with rows that are
// made up, since nothing could sign as many in time.
type deployment struct {
	dir   string
	file  *quickstart.File
	store *sqlstore.Store // nil while closed

	pattern pattern
	stored  int          // rows that fill made
	shared  bool         // keys are not checked for reuse
	known   []pki.Serial // of some of them
}

// newDeployment plays the story in a new directory and opens its store.
func (b *bench) newDeployment(ctx context.Context, name string) (*deployment, error) {
	d := &deployment{dir: filepath.Join(b.dir, name)}
	p, err := b.playStory(ctx, d.dir, "--exit")
	if err != nil {
		return nil, err
	}
	d.file = new(quickstart.File)
	if err := errors.Join(p.decode(d.file), p.end()); err != nil {
		return nil, fmt.Errorf("playing the story: %w\n%s", err, lastWords(b.dir, serverLog))
	}
	if d.pattern, err = readPattern(d.file.Samples.Good); err != nil {
		return nil, err
	}
	return d, d.open(ctx)
}

func (d *deployment) open(ctx context.Context) (err error) {
	d.store, err = sqlstore.Open(ctx, filepath.Join(d.dir, quickstart.ServerDir, "pando.db"), sqlstore.Options{})
	return err
}

func (d *deployment) close() error {
	if d.store == nil {
		return nil
	}
	store := d.store
	d.store = nil
	return store.Close()
}

// issuerOf returns the issuer of one of the story's authorities.
func (d *deployment) issuerOf(authority string) pki.IssuerID {
	return pki.IssuerID(path.Base(d.file.Authorities[authority].OCSP))
}

// A pattern is a certificate of the story, and where in it lies what differs from
// one to the next.
type pattern struct {
	der, tbs          []byte
	serial, key, skid int // offsets in tbs
	notBefore         time.Time
	notAfter          time.Time
}

func readPattern(file string) (pattern, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return pattern{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return pattern{}, errors.New("the sample is not in PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return pattern{}, err
	}
	p := pattern{der: c.Raw, tbs: c.RawTBSCertificate, notBefore: c.NotBefore, notAfter: c.NotAfter}
	p.serial = bytes.Index(p.tbs, c.SerialNumber.Bytes())
	point := c.RawSubjectPublicKeyInfo[len(c.RawSubjectPublicKeyInfo)-64:]
	p.key, p.skid = bytes.Index(p.tbs, point), bytes.Index(p.tbs, c.SubjectKeyId)
	if p.serial < 0 || p.key < 0 || len(c.SubjectKeyId) == 0 {
		return p, errors.New("the sample is not one that rows can be made of")
	}
	return p, nil
}

// item makes up a certificate: what differs from one device to the next is random,
// and so is its signature.
func (p *pattern) item(random *rand.ChaCha8, device string, signed bool) *issuance.Item {
	it := &issuance.Item{
		Serial: pki.NewSerial(pki.ClassOf(p.notBefore, p.notAfter), time.Now()), Owner: "demo", Device: pki.DeviceID(device),
		Placement: pki.Placement{ProductLine: "residential-meter", Lot: lot, Site: "plant-1"},
		Profile:   pki.ProfileRef{Tenant: "demo", Name: endpoint, Version: 1}, NotBefore: p.notBefore, NotAfter: p.notAfter,
	}
	random.Read(it.KeyHash[:])
	whole := bytes.Clone(p.der)
	start := bytes.Index(whole, p.tbs)
	it.TBS = whole[start : start+len(p.tbs) : start+len(p.tbs)]
	copy(it.TBS[p.serial:], it.Serial[:])
	random.Read(it.TBS[p.key : p.key+64])
	if p.skid >= 0 {
		random.Read(it.TBS[p.skid : p.skid+20])
	}
	random.Read(whole[len(whole)-60:])
	if signed {
		it.DER = whole
	}
	return it
}

// fill stores n made-up certificates of the manufacturing authority, in groups as a
// batch has them: the record of one with the intent of the next in one transaction.
func (d *deployment) fill(ctx context.Context, n int) (pace, error) {
	return d.commit(ctx, n, "manufacturing", true)
}

// commit stores the intents of n items and their records: with their certificates,
// or as void, which leaves an entry of revocation for each.
func (d *deployment) commit(ctx context.Context, n int, authority string, signed bool) (pace, error) {
	random := rand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), uint64(d.stored))))
	issuer := d.issuerOf(authority)
	before, err := ownCPU()
	if err != nil {
		return pace{}, err
	}
	begun := time.Now()
	var pending []*issuance.Intent
	for done := 0; done < n || len(pending) > 0; {
		var fresh []*issuance.Intent
		if done < n {
			in := &issuance.Intent{ID: pki.IntentID(pki.NewID(time.Now())), Issuer: issuer, Tenant: "demo", Node: "bench", Epoch: 1, Attempt: 1}
			for range min(issuance.MaxGroup, n-done) {
				it := d.pattern.item(random, fmt.Sprintf("F%08d", d.stored), signed)
				it.SharedKey = d.shared
				in.Items = append(in.Items, it)
				d.stored++
			}
			if signed {
				d.known = append(d.known, in.Items[0].Serial)
			}
			done += len(in.Items)
			fresh = append(fresh, in)
		}
		if err := d.store.Commit(ctx, time.Now(), pending, fresh); err != nil {
			return pace{}, err
		}
		for _, in := range append(pending, fresh...) {
			if in.Err != nil {
				return pace{}, fmt.Errorf("filling the store: %w", in.Err)
			}
		}
		pending = fresh
	}
	took := time.Since(begun)
	after, err := ownCPU()
	return pace{rate: float64(n) / took.Seconds(), cpu: float64((after - before).Microseconds()) / float64(n)}, err
}
