package wasmhost

import "github.com/weir-lb/weir/policies"

// What lb_alloc is asked for.
const (
	allocRequest  = 1
	allocTable    = 2
	allocFeedback = 3
	allocConfig   = 4
	allocState    = 5
)

// Bits of the result of lb_abi_v1.
const (
	flagReplicable = 1 << 0
	flagKeepOrder  = 1 << 1
	wantedShift    = 32 // live columns wanted: 16 bits
	knownFlags     = flagReplicable | flagKeepOrder | 0xffff<<wantedShift
)

// Results of lb_pick and lb_retry that are not an index.
const (
	answerDefer  = -1
	answerReject = -2
	answerList   = -3
	answerStop   = -4
)

// Table header: offsets of its fields in bytes. All offsets in a table, those of names and metadata in endpoints too,
// count from the table's first byte.
const (
	tableMagic = 0x3154424c // "LBT1"

	tabMagic    = 0
	tabGen      = 4
	tabN        = 8
	tabEpOff    = 12
	tabEpStride = 16
	tabStrOff   = 20
	tabStrLen   = 24
	tabUpGen    = 28
	tabNUp      = 32
	tabUpOff    = 36
	tabTierEnd  = 40
	tabSelfZone = 56
	tabFlags    = 60
	tabColOff   = 64
	headerSize  = 128

	tableColumns = 16
	tablePanic   = 1 // bit of tabFlags
)

// Endpoint: offsets of its fields in bytes.
const (
	epIDHash     = 0
	epID         = 8
	epWeight     = 12
	epTier       = 16
	epFlags      = 17
	epZone       = 18
	epName       = 20
	epMeta       = 24
	endpointSize = 32
)

// Request block: offsets of its fields in bytes. The host writes those below reqOut and reads those from there on.
const (
	reqNow           = 0
	reqRand          = 8
	reqKeyHash       = 16
	reqSeq           = 24
	reqGen           = 32
	reqUpGen         = 36
	reqMethod        = 40
	reqAttempt       = 41
	reqNTried        = 42
	reqFlags         = 44
	reqClientIP      = 48
	reqClientPort    = 64
	reqListener      = 66
	reqRoute         = 68
	reqPathHash      = 72
	reqHostHash      = 80
	reqContentLength = 88
	reqDeadline      = 96
	reqElapsed       = 100
	reqLastEndpoint  = 104
	reqLastStatus    = 108
	reqLastErr       = 110
	reqLastMicros    = 112
	reqSticky        = 116
	reqTried         = 120
	reqOut           = 192
	outN             = 192
	outEndpoints     = 196
	outTimeout       = 228
	outHedge         = 232
	outStatus        = 236
	outTag           = 240
	outFlags         = 248
	outReason        = 252
	requestSize      = 256

	outSetSticky = 1
	outNoRetry   = 2
	maxList      = policies.MaxTried
)

// Feedback record: offsets of its fields in bytes.
const (
	fbTag       = 0
	fbID        = 8
	fbIndex     = 12
	fbStatus    = 16
	fbErr       = 18
	fbAttempt   = 20
	fbFlags     = 21
	fbLoad      = 22
	fbFirstByte = 24
	fbTotal     = 28
	recordSize  = 32

	fbFinal      = 1 // bits of fbFlags
	fbLoser      = 2
	fbClientGone = 4
	fbUnmade     = 8

	maxRecords = 64 // a call
)

// Features of the host, as lb_abi_v1 is told of them.
const (
	featureKV    = 2
	featureEject = 4
	hostFeatures = featureKV | featureEject
)

// none is the value of a 32-bit field for which there is nothing.
const none = 0xffffffff
