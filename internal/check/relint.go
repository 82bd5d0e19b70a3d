package check

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// MaxSample is how many certificates a sample has at most.
const MaxSample = 100_000

// A Relint says that certificates are read again with the lint of the profile
// version that they were issued under.
type Relint struct {
	Sample int    // how many, chosen by chance; 0 is all. At most MaxSample
	Seed   uint64 // of the choice, which is the same for the same seed and store
}

// A relinter reads certificates again. It is safe for concurrent use, but for choose
// and chosen.
type relinter struct {
	store   Store
	issuers map[pki.IssuerID]*issuer

	sample int
	random *rand.Rand
	seen   int
	chosen []*pki.Certificate

	mu    sync.Mutex
	bound map[boundKey]compiled
}

type boundKey struct {
	profile   pki.ProfileRef
	issuer    pki.IssuerID
	algorithm string // DER of the signature algorithm
}

// A compiled is a profile version bound to an issuer, or why it cannot be.
type compiled struct {
	*policy.Bound
	err error
}

func newRelinter(cfg *Relint, store Store, issuers map[pki.IssuerID]*issuer) *relinter {
	return &relinter{
		store: store, issuers: issuers, sample: cfg.Sample, random: rand.New(rand.NewPCG(cfg.Seed, 0)),
		bound: make(map[boundKey]compiled),
	}
}

// choose considers a certificate for the sample: each that was considered is in it
// with the same chance (Vitter's algorithm R).
func (r *relinter) choose(cert *pki.Certificate) {
	r.seen++
	if len(r.chosen) < r.sample {
		r.chosen = append(r.chosen, cert)
	} else if at := r.random.IntN(r.seen); at < r.sample {
		r.chosen[at] = cert
	}
}

// check reads one certificate again.
func (r *relinter) check(ctx context.Context, cert *pki.Certificate) error {
	issuer := r.issuers[cert.Issuer]
	if cert.DER == nil || issuer == nil || issuer.parsed == nil {
		return nil // reported
	}
	if issuer.Key == pki.OfflineKey && r.isRootLink(cert) {
		return nil
	}
	parsed, err := tbs.ParseCertificate(cert.DER)
	if err != nil {
		return err
	}
	b, err := r.compile(ctx, cert.Profile, issuer, parsed.Algorithm)
	if err != nil {
		return err
	}
	return b.Relint(cert.DER)
}

// compile returns the profile version bound to the issuer. Whether an issuer's RSA key
// signs by PSS only what it signed says: that it did is checked with the signature.
func (r *relinter) compile(ctx context.Context, ref pki.ProfileRef, from *issuer, algorithm []byte) (*policy.Bound, error) {
	key := boundKey{ref, from.ID, string(algorithm)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.bound[key]; ok {
		return c.Bound, c.err
	}
	b, err := r.bind(ctx, ref, from, algorithm)
	if ctx.Err() == nil {
		r.bound[key] = compiled{b, err}
	}
	return b, err
}

func (r *relinter) bind(ctx context.Context, ref pki.ProfileRef, from *issuer, algorithm []byte) (*policy.Bound, error) {
	v, err := r.store.Profile(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("its profile %s version %d cannot be read: %w", ref.Name, ref.Version, err)
	}
	if v.Hash != sha256.Sum256([]byte(v.Source)) {
		return nil, fmt.Errorf("its profile %s version %d does not have the hash that it was published with", ref.Name, ref.Version)
	}
	p, err := policy.Parse([]byte(v.Source))
	if err != nil {
		return nil, fmt.Errorf("its profile %s version %d is no longer one: %w", ref.Name, ref.Version, err)
	}
	// Whether the authority's name is one that the profile is for was judged then.
	params := hierarchy.Params("", *from.Issuer, from.parsed)
	if params.Constraints, err = r.constraints(from); err != nil {
		return nil, err
	}
	if alg, err := tbs.ParseSignatureAlgorithm(algorithm); err == nil && alg.PSS() {
		params.Algorithm = alg
	}
	return p.Bind(ref, params)
}

// constraints returns the name constraints of an issuer and those above it.
func (r *relinter) constraints(from *issuer) ([][]byte, error) {
	var chain [][]byte
	for at := from; at != nil && len(chain) < maxChain; at = r.issuers[at.Parent] {
		chain = append(chain, at.Certificate)
		if at.Parent == at.ID {
			break
		}
	}
	return policy.Constraints(chain...)
}

// relintSample reads the chosen certificates again.
func (c *checker) relintSample(ctx context.Context) error {
	for i, cert := range c.relint.chosen {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.relint.check(ctx, cert); err != nil {
			c.report.addf(Linted, subjectOf(cert), "%v", err)
		}
		if c.report.Relinted++; (i+1)%page == 0 {
			c.tell("relinted", c.report.Relinted)
		}
	}
	return nil
}
