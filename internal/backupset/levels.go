package backupset

// ZstdLevels are the levels that a dump is compressed with, in zstd's own numbers. The encoder has one more, of 11, that takes five to twenty times as long as 7 for
// no fewer bytes (docs/decisions/0002-compression.md).
var ZstdLevels = []int{1, 3, 7}

// Levels say how hard zstd may try. The zero value is the fastest level.
type Levels struct {
	Floor   int   `json:"floor,omitempty"` // one of ZstdLevels
	Ceiling int   `json:"ceiling,omitempty"`
	Link    int64 `json:"link,omitempty"` // bytes a second to the slowest target, 0 when it is not known: then the floor
}
