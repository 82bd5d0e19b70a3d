package registry

import (
	"context"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// Store keeps the registry. A name that certificates are issued under without
// being registered is registered with their intent: see issuance.Store.Commit.
type Store interface {
	access.AuthorityNames

	// PutPlace stores a new product line or site; Conflict where it is there.
	PutPlace(ctx context.Context, p *Place, e pki.Event) error
	DescribePlace(ctx context.Context, tenant pki.TenantID, kind PlaceKind, name, description string, e pki.Event) error
	Place(ctx context.Context, tenant pki.TenantID, kind PlaceKind, name string) (*Place, error)
	// Places returns up to limit places with names above after, in order of name.
	Places(ctx context.Context, tenant pki.TenantID, kind PlaceKind, after string, limit int) ([]*Place, error)

	// PutLot stores a new lot, and registers its product line and site where they
	// are not; Conflict where it is there.
	PutLot(ctx context.Context, l *Lot, e pki.Event) error
	// ChangeLot replaces product line, site and ordered of an open lot, and
	// registers names as PutLot does; Conflict where it is closed.
	ChangeLot(ctx context.Context, l *Lot, e pki.Event) error
	Lot(ctx context.Context, tenant pki.TenantID, name string) (*Lot, error)
	// Lots returns up to limit lots with names above after, in order of name.
	Lots(ctx context.Context, tenant pki.TenantID, f LotFilter, after string, limit int) ([]*Lot, error)

	// PlanDevices stores devices that are not there as planned, and moves those
	// that are planned to the places that are given. Of the same owner each. Those
	// that are beyond planned, and elsewhere, are kept: they are returned as they are,
	// by their index in devices, and nothing is registered for them.
	PlanDevices(ctx context.Context, owner pki.TenantID, devices []*Device, e pki.Event) (planned, moved int, kept map[int]*Device, err error)
	// ChangeDevice carries an act out as Device.After says, with the entries and
	// events of its certificates, and completes the event's detail.
	ChangeDevice(ctx context.Context, c DeviceChange) (*Device, error)
	Device(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (*Device, error)
	// AllMayEnrol reports whether none of the owner's devices is suspended or
	// decommissioned. It is asked for each certificate and must cost nothing; it may
	// be false where there was one a while ago.
	AllMayEnrol(ctx context.Context, owner pki.TenantID) (bool, error)
	// DeviceState returns a device's state, "" where there is none.
	DeviceState(ctx context.Context, owner pki.TenantID, id pki.DeviceID) (State, error)
	// Devices returns up to limit devices from a position on (nil is the
	// beginning) and the position after them, nil at the end. It may return fewer
	// and a position: it looks at a bounded number of rows.
	Devices(ctx context.Context, owner pki.TenantID, f DeviceFilter, after []byte, limit int) ([]*FoundDevice, []byte, error)

	// SearchCertificates returns up to limit certificates that the tenant issued
	// or owns, from a position on, and the position after them, as Devices does;
	// and the names of authorities whose certificates were not looked at for want
	// of an index. NotReady where no authority has it, NotFound where the query names
	// an issuer that is neither the tenant's nor one that was ever lent to it, there or not.
	SearchCertificates(ctx context.Context, tenant pki.TenantID, q Query, now time.Time, after []byte, limit int) (found []*Found, next []byte, notSearched []string, err error)

	// Strict reports whether the tenant's names must be registered before their
	// first use.
	Strict(ctx context.Context, tenant pki.TenantID) (bool, error)
	SetStrict(ctx context.Context, tenant pki.TenantID, strict bool, e pki.Event) error
}
