package bench

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/keystore/soft"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/quickstart"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// The sizes of a CRL.
const (
	newEntries   = 1_000 // since the CRL before
	crlEntries   = 1_000_000
	quickEntries = 20_000
)

func (b *bench) crlEntries() int {
	switch {
	case b.length < time.Second:
		return fewRows
	case b.cfg.Quick:
		return quickEntries
	default:
		return crlEntries
	}
}

// oneShard is an authority of the story with one CRL.
const oneShard = "firmware"

// buildCRL measures row 6: from the entries in the store to a signed CRL in it,
// against x509.CreateRevocationList with the entries in memory already. As the
// publisher makes them: after revocations with the parts of the one before that did not
// change, of which those that were made longest ago are made anew by turns, and where
// somebody wants it ('pando crl publish') of the entries alone.
func (b *bench) buildCRL(ctx context.Context) (err error) {
	b.report.sizes[6] = b.crlEntries()
	d, err := b.newDeployment(ctx, "crl")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	got, err := d.commit(ctx, b.crlEntries(), oneShard, false)
	if err != nil {
		return err
	}
	b.tell("crl: %d entries stored, %.0f a second", b.crlEntries(), got.rate)
	kek, err := soft.LoadKEK("file:" + filepath.Join(d.dir, quickstart.ServerDir, "kek.key"))
	if err != nil {
		return err
	}
	clock := time.Now()
	now := func() time.Time { return clock }
	only := &onlyIssuer{d.store, d.issuerOf(oneShard)}
	keys := keystore.New(map[string]keystore.Provider{soft.Scheme: soft.New(d.store, kek, nil, now)})
	va := revocation.New(revocation.Config{
		Store: d.store, Signer: signer.New(keys), Issuers: only, LintCRL: policy.LintCRL, Now: now, Log: slog.New(slog.DiscardHandler),
	})
	issuer, err := issuerCertificate(d.file.Authorities[oneShard].Chain)
	if err != nil {
		return err
	}
	publish := func() error {
		n, err := va.PublishDue(ctx)
		if err == nil && n == 0 {
			err = errors.New("no CRL was due")
		}
		return err
	}
	// with is what a CRL takes that comes some time after the one before, with so many
	// new entries.
	with := func(entries int, after time.Duration) (used, error) {
		if _, err := d.commit(ctx, entries, oneShard, false); err != nil {
			return used{}, err
		}
		clock = clock.Add(after)
		return usedBy(publish)
	}
	for range b.rounds {
		clock = clock.Add(time.Minute)
		if err := d.store.Renew(ctx, only.id, revocation.AllShards, pki.Event{Tenant: "demo", At: clock, Actor: "bench", Action: "crl.renew"}); err != nil {
			return err
		}
		whole, err := usedBy(publish)
		if err != nil {
			return err
		}
		ours, err := with(newEntries, time.Minute)
		if err != nil {
			return err
		}
		hour, err := with(1, time.Hour)
		if err != nil {
			return err
		}
		theirs, err := b.standardCRL(issuer)
		if err != nil {
			return err
		}
		b.report.add(crlTime, theirs.cpu/ours.cpu)
		b.report.add(crlMemory, ours.memory)
		b.report.add(crlHour, theirs.cpu/hour.cpu)
		b.report.add(crlHourMemory, hour.memory)
		b.report.add(crlWhole, theirs.cpu/whole.cpu)
		b.report.add(crlWholeMemory, whole.memory)
		b.tell("crl: %d entries of which %d are new %.2f s of CPU, %.0f MiB; an hour later %.2f s, %.0f MiB; all read anew %.2f s, %.0f MiB; x509.CreateRevocationList %.2f s, %.0f MiB; %.1f ×, %.1f × and %.1f ×",
			b.crlEntries(), newEntries, ours.cpu, ours.memory, hour.cpu, hour.memory, whole.cpu, whole.memory, theirs.cpu, theirs.memory, theirs.cpu/ours.cpu, theirs.cpu/hour.cpu, theirs.cpu/whole.cpu)
	}
	return nil
}

// onlyIssuer leaves out the issuers of others, whose CRLs are due too.
type onlyIssuer struct {
	*sqlstore.Store
	id pki.IssuerID
}

// AllIssuers implements revocation.Issuers.
func (o *onlyIssuer) AllIssuers(ctx context.Context) ([]*pki.Issuer, error) {
	issuer, err := o.Issuer(ctx, o.id)
	return []*pki.Issuer{issuer}, err
}

// issuerCertificate returns the first certificate of a chain.
func issuerCertificate(chain string) (*x509.Certificate, error) {
	text, err := os.ReadFile(chain)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the issuer is not in PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// standardCRL makes a CRL of as many entries with Go's own library; what it needs is
// in memory beforehand.
func (b *bench) standardCRL(issuer *x509.Certificate) (used, error) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for range b.crlEntries() {
		s := pki.NewSerial(pki.SerialRandom, time.Now())
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(s[:]), RevocationTime: list.ThisUpdate})
	}
	as := *issuer
	as.PublicKey, as.KeyUsage = b.yard.limit.key.Public(), x509.KeyUsageCRLSign
	return usedBy(func() error {
		_, err := x509.CreateRevocationList(rand.Reader, list, &as, b.yard.limit.key)
		return err
	})
}

// used is what some work took of this process.
type used struct {
	cpu    float64 // seconds
	memory float64 // MiB at most, beside what there was before
}

func usedBy(work func() error) (used, error) {
	runtime.GC()
	debug.FreeOSMemory()
	// The mark of the most memory begins anew (proc(5), clear_refs).
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return used{}, fmt.Errorf("beginning to watch memory: %w", err)
	}
	own := &process{pid: os.Getpid()}
	memory, err := own.memory("VmRSS")
	if err != nil {
		return used{}, err
	}
	before, err := ownCPU()
	if err != nil {
		return used{}, err
	}
	if err := work(); err != nil {
		return used{}, err
	}
	after, err := ownCPU()
	if err != nil {
		return used{}, err
	}
	most, err := own.memory("VmHWM")
	return used{cpu: (after - before).Seconds(), memory: most - memory}, err
}
