package client

import "time"

// A Place is a product line or a site.
type Place struct {
	Name        string    `json:"name" example:"residential-meter"`
	Description string    `json:"description,omitempty"`
	By          string    `json:"by,omitempty" doc:"Who registered it; absent where its first use did."`
	Created     time.Time `json:"created,omitzero"`
}

// NewPlace is a product line or a site to register.
type NewPlace struct {
	Name        string `json:"name" minLength:"1" maxLength:"128" doc:"Printable ASCII, without a space at either end." example:"residential-meter"`
	Description string `json:"description,omitempty" maxLength:"400" doc:"One line, for people."`
}

// PlaceChange is what is said of a product line or a site from now on.
type PlaceChange struct {
	Description string `json:"description" maxLength:"400" doc:"One line, for people."`
}

// A Lot is devices that are made together.
type Lot struct {
	Name        string    `json:"name" example:"lot-7"`
	ProductLine string    `json:"product_line,omitempty"`
	Site        string    `json:"site,omitempty"`
	Ordered     int64     `json:"ordered,omitzero" doc:"How many devices were ordered; absent where it was not said."`
	State       string    `json:"state" enum:"open,closed" doc:"In a closed lot nothing is enrolled any more."`
	By          string    `json:"by,omitempty" doc:"Who registered it; absent where its first use did."`
	Created     time.Time `json:"created,omitzero"`
	Closed      time.Time `json:"closed,omitzero"`

	Counts *LotCounts `json:"counts,omitempty" doc:"Of one lot alone; lists do not have it."`
}

// LotCounts are the devices of a lot, each once. Of a closed lot they are those of its
// report.
type LotCounts struct {
	Issued   int64 `json:"issued" doc:"Devices with a certificate of the lot that are not decommissioned."`
	Refused  int64 `json:"refused" doc:"Devices of refused batch rows that have none, and that no retry has."`
	Scrapped int64 `json:"scrapped" doc:"Devices with a certificate of the lot that are decommissioned; of a closed lot, those besides that were reported without one."`
	Open     int64 `json:"open" doc:"What was ordered, without the others; below 0 where more was made; 0 where no quantity was said."`
	AtLeast  bool  `json:"at_least,omitzero" doc:"The lot has more than 200,000 certificates or refused rows, of which so many were counted: issued, refused and scrapped may be more, and open less. The report of a closed lot counts all."`
}

// NewLot is a lot to register.
type NewLot struct {
	Name        string `json:"name" minLength:"1" maxLength:"128" doc:"Printable ASCII, without a space at either end." example:"lot-7"`
	ProductLine string `json:"product_line,omitempty" maxLength:"128"`
	Site        string `json:"site,omitempty" maxLength:"128"`
	Ordered     int64  `json:"ordered,omitzero" minimum:"0" maximum:"1000000000" doc:"How many devices are ordered."`
}

// LotChange is what to change of a lot; what is absent stays as it is.
type LotChange struct {
	ProductLine *string `json:"product_line,omitempty" maxLength:"128"`
	Site        *string `json:"site,omitempty" maxLength:"128"`
	Ordered     *int64  `json:"ordered,omitempty" minimum:"0" maximum:"1000000000"`
}

// LotClosing is what the closer of a lot says.
type LotClosing struct {
	Scrapped *int64 `json:"scrapped,omitzero" minimum:"0" maximum:"1000000000" doc:"How many devices of the lot were scrapped without a certificate. Absent: none, or what a closed lot was closed with."`
}

// LotReport says, signed, what became of a lot.
type LotReport struct {
	Report string `json:"report" doc:"A note, as signed by the tenant's key for lot reports: a line, the report in JSON, an empty line, the signature."`
}

// LotReportKey is a tenant's public key for lot reports.
type LotReportKey struct {
	Key string `json:"key" doc:"NAME+HASH+KEY, as notes have it; KEY is base64 of 0x01 and an Ed25519 key."`
}

// Registry says how the registry takes new names.
type Registry struct {
	Strict bool `json:"strict" doc:"Product lines, lots and sites must be registered before they are named; otherwise their first use registers them."`
}

// A Device is one device of the tenant.
type Device struct {
	Device      string    `json:"device" example:"SM-000001"`
	Owner       string    `json:"owner" doc:"The tenant whose it is, which is the one that asks."`
	State       string    `json:"state" enum:"planned,issued,active,suspended,returned,decommissioned"`
	ProductLine string    `json:"product_line,omitempty"`
	Lot         string    `json:"lot,omitempty"`
	Site        string    `json:"site,omitempty"`
	Created     time.Time `json:"created"`
	Updated     time.Time `json:"updated" doc:"When it last changed or got a certificate; its events say who changed what."`
	Cursor      string    `json:"cursor,omitempty" doc:"In listings: goes on after this one."`
}

// DeviceChange goes with a change of a device's state.
type DeviceChange struct {
	Note string `json:"note,omitempty" maxLength:"400" doc:"Why, in one line, for the event."`
}

// A DeviceImport says what became of a list of planned devices.
type DeviceImport struct {
	Planned   int64           `json:"planned" doc:"New."`
	Moved     int64           `json:"moved" doc:"Planned already, in another place."`
	Unchanged int64           `json:"unchanged" doc:"Planned already in this place, or beyond planned and not said to be elsewhere."`
	Refused   int64           `json:"refused" doc:"Wrong, or beyond planned and said to be elsewhere: only planned devices move."`
	Problems  []DeviceProblem `json:"problems,omitempty" doc:"Of the first hundred refused rows."`
}

// A DeviceProblem is why a row of a list was refused.
type DeviceProblem struct {
	Row    int64  `json:"row" doc:"From 1, without the header."`
	Reason string `json:"reason"`
}
