/// Counts of an import, and the first rows it refused.
struct ImportTally {
  /// Records in the file, without the header.
  var rows = 0
  private(set) var rejected = 0
  private(set) var rejectedLines: [(line: Int, rejection: Rejection)] = []

  static let mostRejectedLines = 100

  mutating func reject(line: Int, _ rejection: Rejection) {
    rejected += 1
    if rejectedLines.count < Self.mostRejectedLines { rejectedLines.append((line, rejection)) }
  }
}
