/// What one import may take.
struct ImportLimits: Sendable {
  /// What an upload may inflate to.
  var textBytes = 4 << 30
  /// Good and bad, without the header.
  var rows = 20_000_000
  /// Stores with a good row.
  var stores = 100_000
  /// How long an upload may be silent.
  var silence = Duration.seconds(60)
  /// From the first byte to the commit.
  var total = Duration.seconds(3600)
}
