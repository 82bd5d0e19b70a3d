package hierarchy

import (
	"context"
	"fmt"
	"slices"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// AddIndexes has an authority get further indexes for searches by certificates of its
// own, those that were there before with it. An Indexer makes them: until then searches
// do as without. It needs access.ManageAuthorities. Conflict where the authority has one
// of them, or others are being made.
func (s *Service) AddIndexes(ctx context.Context, g access.Permit, nameOrID string, indexes []pki.SearchIndex) (*View, error) {
	a, err := s.within(ctx, g, access.ManageAuthorities, nameOrID)
	if err != nil {
		return nil, err
	}
	if len(indexes) == 0 {
		return nil, pki.Errorf(pki.Malformed, "no index: name some of %v", pki.SearchIndexes())
	}
	if indexes, err = searchIndexes(indexes); err != nil {
		return nil, err
	}
	err = s.cfg.Store.AddIndexes(ctx, g.Tenant(), a.ID, indexes,
		s.event(g, "authority.index", "authority:"+string(a.ID), fmt.Sprintf("%s: %v, to be made", a.Name, indexes)))
	if err != nil {
		return nil, err
	}
	return s.find(ctx, g.Tenant(), string(a.ID))
}

// searchIndexes returns indexes in their order, each once.
func searchIndexes(indexes []pki.SearchIndex) ([]pki.SearchIndex, error) {
	for _, index := range indexes {
		if !slices.Contains(pki.SearchIndexes(), index) {
			return nil, pki.Errorf(pki.Malformed, "index %.20q: it is one of %v", index, pki.SearchIndexes())
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(indexes))), nil
}
