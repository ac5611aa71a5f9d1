/// What a descriptor in the poller stands for, in 64 bits.
///
/// ```
/// 63…56 kind   55…32 generation   31…0 slot
/// ```
/// The generation tells a slot's present user from an earlier one, for which an event may still be
/// under way.
enum PollToken {
    enum Kind: UInt64 {
        case signals = 1
        case mailbox = 2
        case httpListener = 3
        case peerListener = 4
        case http = 5
        case peerInbound = 6
        case peerOutbound = 7
    }

    static let generationMask: UInt64 = 0xff_ffff

    static func make(_ kind: Kind, slot: Int = 0, generation: UInt64 = 0) -> UInt64 {
        kind.rawValue << 56 | (generation & generationMask) << 32 | UInt64(UInt32(slot))
    }
    static func kind(_ token: UInt64) -> Kind? { Kind(rawValue: token >> 56) }
    static func slot(_ token: UInt64) -> Int { Int(token & 0xffff_ffff) }
    static func generation(_ token: UInt64) -> UInt64 { token >> 32 & generationMask }
}
