package storetest

import (
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

func testPlaces(f *fixture) {
	for _, kind := range []registry.PlaceKind{registry.ProductLine, registry.Site} {
		place := func(name string) *registry.Place {
			return &registry.Place{Kind: kind, Tenant: acme, Name: name, Description: "of " + name, Actor: "token:0abc", Created: f.now}
		}
		for _, name := range []string{"c", "a", "b"} {
			f.ok(f.PutPlace(f.ctx, place(name), f.event(acme, "place.create")))
		}
		f.is(pki.Conflict, f.PutPlace(f.ctx, place("a"), f.event(acme, "place.create")))
		theirs := place("a")
		theirs.Tenant = partner
		f.ok(f.PutPlace(f.ctx, theirs, f.event(partner, "place.create")))

		f.ok(f.DescribePlace(f.ctx, acme, kind, "b", "changed", f.event(acme, "place.update")))
		f.is(pki.NotFound, f.DescribePlace(f.ctx, acme, kind, "nothing", "changed", f.event(acme, "place.update")))
		f.is(pki.NotFound, f.DescribePlace(f.ctx, stranger, kind, "b", "changed", f.event(stranger, "place.update")))
		changed := place("b")
		changed.Description = "changed"
		got, err := f.Place(f.ctx, acme, kind, "b")
		f.ok(err)
		f.same(got, changed)
		_, err = f.Place(f.ctx, stranger, kind, "b")
		f.is(pki.NotFound, err)

		all, err := f.Places(f.ctx, acme, kind, "", 2)
		f.ok(err)
		f.same(all, []*registry.Place{place("a"), changed})
		all, err = f.Places(f.ctx, acme, kind, "b", 2)
		f.ok(err)
		f.same(all, []*registry.Place{place("c")})
		all, err = f.Places(f.ctx, stranger, kind, "", 2)
		f.ok(err)
		f.same(len(all), 0)
	}
	f.same(f.actions(acme)[:4], []string{"place.update", "place.create", "place.create", "place.create"})

	strict, err := f.Strict(f.ctx, acme)
	f.ok(err)
	f.same(strict, false)
	f.ok(f.SetStrict(f.ctx, acme, true, f.event(acme, "registry.update")))
	for tenant, want := range map[pki.TenantID]bool{acme: true, stranger: false} {
		strict, err := f.Strict(f.ctx, tenant)
		f.ok(err)
		f.same(strict, want)
	}
	f.is(pki.NotFound, f.SetStrict(f.ctx, "nobody", true, f.event(acme, "registry.update")))
	f.same(f.actions(acme)[0], "registry.update")
}

func testLots(f *fixture) {
	lot := func(name, line string) *registry.Lot {
		return &registry.Lot{Tenant: acme, Name: name, ProductLine: line, Site: "north", Ordered: 100, State: registry.LotOpen, Actor: "token:0abc", Created: f.now}
	}
	first, second, third := lot("lot-1", "meters"), lot("lot-2", "meters"), lot("lot-3", "gateways")
	for _, l := range []*registry.Lot{third, first, second} {
		f.ok(f.PutLot(f.ctx, l, f.event(acme, "lot.create")))
	}
	f.is(pki.Conflict, f.PutLot(f.ctx, lot("lot-1", ""), f.event(acme, "lot.create")))
	_, err := f.Place(f.ctx, acme, registry.ProductLine, "gateways") // registered with its lot
	f.ok(err)

	second.Site, second.Ordered = "south", 200
	f.ok(f.ChangeLot(f.ctx, second, f.event(acme, "lot.update")))
	_, err = f.Place(f.ctx, acme, registry.Site, "south")
	f.ok(err)
	got, err := f.Lot(f.ctx, acme, "lot-2")
	f.ok(err)
	f.same(got, second)
	_, err = f.Lot(f.ctx, stranger, "lot-2")
	f.is(pki.NotFound, err)
	theirs := *second
	theirs.Tenant = stranger
	f.is(pki.NotFound, f.ChangeLot(f.ctx, &theirs, f.event(stranger, "lot.update")))

	for _, test := range []struct {
		tenant pki.TenantID
		filter registry.LotFilter
		after  string
		want   []*registry.Lot
	}{
		{acme, registry.LotFilter{}, "", []*registry.Lot{first, second}},
		{acme, registry.LotFilter{}, "lot-2", []*registry.Lot{third}},
		{acme, registry.LotFilter{ProductLine: "gateways"}, "", []*registry.Lot{third}},
		{acme, registry.LotFilter{ProductLine: "meters", Site: "south", State: registry.LotOpen}, "", []*registry.Lot{second}},
		{acme, registry.LotFilter{State: registry.LotClosed}, "", nil},
		{stranger, registry.LotFilter{}, "", nil},
	} {
		all, err := f.Lots(f.ctx, test.tenant, test.filter, test.after, 2)
		f.ok(err)
		f.same(all, test.want)
	}
	f.same(f.actions(acme)[:2], []string{"lot.update", "lot.create"})
}

func testFirstUse(f *fixture) {
	it := f.item("meter-1")
	f.issue(it)
	got, err := f.Lot(f.ctx, acme, it.Placement.Lot)
	f.ok(err)
	f.same(got, &registry.Lot{Tenant: acme, Name: it.Placement.Lot, ProductLine: it.Placement.ProductLine, Site: it.Placement.Site,
		State: registry.LotOpen, Created: got.Created})
	for kind, name := range map[registry.PlaceKind]string{registry.ProductLine: it.Placement.ProductLine, registry.Site: it.Placement.Site} {
		p, err := f.Place(f.ctx, acme, kind, name)
		f.ok(err)
		f.same(p, &registry.Place{Kind: kind, Tenant: acme, Name: name, Created: p.Created})
		_, err = f.Place(f.ctx, stranger, kind, name)
		f.is(pki.NotFound, err)
	}

	// What was registered before stays as it is.
	known := &registry.Lot{Tenant: acme, Name: "lot-2", ProductLine: "gateways", Ordered: 7, State: registry.LotOpen, Actor: "token:0abc", Created: f.now}
	f.ok(f.PutLot(f.ctx, known, f.event(acme, "lot.create")))
	f.later(time.Minute)
	second := f.item("meter-2")
	second.Placement.Lot = "lot-2"
	f.issue(second)
	got, err = f.Lot(f.ctx, acme, "lot-2")
	f.ok(err)
	f.same(got, known)
}
