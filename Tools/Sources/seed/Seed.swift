import Glibc

/// Writes a made-up world of stores, with the quirks of the real data, as the three CSV files an import takes.
@main
struct Seed {
  static let usage = """
    usage: seed --stores N --polls N --seed N --out DIR

    Writes store_timezones.csv, business_hours.csv and store_status.csv into DIR, which is made if
    need be: at most 100,000 stores,
    20,000,000 polls. The same numbers give the same files, on every machine. The polls end
    within the two hours before 2023-01-25 18:13:22.479220 UTC and come about once an hour per store.

    """

  static func main() {
    guard let options = Options(CommandLine.arguments.dropFirst()) else {
      complain(usage)
      exit(64)
    }
    // Like `mkdir -p`: one that is there already is what we want.
    for end in options.out.indices.dropFirst() where options.out[end] == "/" {
      mkdir(String(options.out[..<end]), 0o777)
    }
    guard mkdir(options.out, 0o777) == 0 || errno == EEXIST else {
      complain("seed: cannot make \(options.out): \(String(cString: strerror(errno)))\n")
      exit(1)
    }
    var random = SplitMix(state: options.seed)
    let world = World(storeCount: options.stores, random: &random)
    do throws(WriteFailure) {
      try write("store_timezones.csv", in: options.out) { world.writeTimezones(to: &$0) }
      try write("business_hours.csv", in: options.out) { world.writeHours(to: &$0) }
      try write("store_status.csv", in: options.out) {
        world.writePolls(count: options.polls, random: &random, to: &$0)
      }
    } catch {
      complain("seed: cannot write \(error.path): \(String(cString: strerror(error.number)))\n")
      exit(1)
    }
  }

  private static func complain(_ text: String) {
    _ = Array(text.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  private static func write(
    _ name: String, in directory: String, _ body: (inout TextFile) -> Void
  ) throws(WriteFailure) {
    let path = "\(directory)/\(name)"
    guard var file = TextFile(path: path) else { throw WriteFailure(path: path, number: errno) }
    body(&file)
    guard file.close() else { throw WriteFailure(path: path, number: errno) }
  }
}

struct WriteFailure: Error {
  var path: String
  var number: Int32
}

struct Options {
  var stores = 0
  var polls = 0
  var seed: UInt64 = 1
  var out = ""

  init?(_ arguments: some Sequence<String>) {
    var iterator = arguments.makeIterator()
    while let flag = iterator.next() {
      guard let value = iterator.next() else { return nil }
      switch (flag, Int(value)) {
      case ("--stores", let count?) where (1...100_000).contains(count): stores = count
      case ("--polls", let count?) where (0...20_000_000).contains(count): polls = count
      case ("--seed", let number?) where number >= 0: seed = UInt64(number)
      case ("--out", _): out = value
      default: return nil
      }
    }
    guard stores > 0, !out.isEmpty else { return nil }
  }
}
