/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UnicodeScripts: cuts where the script changes. Hiragana, Katakana and U+30FC count as Han; a space belongs to what is around
 * it, as does a character of no script that the library knows (its list is that of Unicode 10). Scripts are PCRE2's: one match
 * is a run of one script with such characters between.
 */
#include "text/tok.h"

static const char *const scripts[] = {
    "Common", "Inherited", "Latin", "Greek", "Cyrillic", "Arabic", "Hebrew", "Hangul", "Thai", "Devanagari", "Bengali", "Tamil", "Telugu",
    "Kannada", "Malayalam", "Gujarati", "Gurmukhi", "Oriya", "Sinhala", "Georgian", "Armenian", "Ethiopic", "Khmer", "Lao", "Myanmar", "Tibetan",
    "Mongolian", "Bopomofo", "Braille", "Canadian_Aboriginal", "Cherokee", "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Avestan", "Balinese",
    "Bamum", "Bassa_Vah", "Batak", "Bhaiksuki", "Brahmi", "Buginese", "Buhid", "Carian", "Caucasian_Albanian", "Chakma", "Cham", "Coptic",
    "Cuneiform", "Cypriot", "Deseret", "Duployan", "Egyptian_Hieroglyphs", "Elbasan", "Glagolitic", "Gothic", "Grantha", "Hanunoo", "Hatran",
    "Imperial_Aramaic", "Inscriptional_Pahlavi", "Inscriptional_Parthian", "Javanese", "Kaithi", "Kayah_Li", "Kharoshthi", "Khojki",
    "Khudawadi", "Lepcha", "Limbu", "Linear_A", "Linear_B", "Lisu", "Lycian", "Lydian", "Mahajani", "Mandaic", "Manichaean", "Marchen",
    "Meetei_Mayek", "Mende_Kikakui", "Meroitic_Cursive", "Meroitic_Hieroglyphs", "Miao", "Modi", "Mro", "Multani", "Nabataean", "New_Tai_Lue",
    "Newa", "Nko", "Ogham", "Ol_Chiki", "Old_Hungarian", "Old_Italic", "Old_North_Arabian", "Old_Permic", "Old_Persian", "Old_South_Arabian",
    "Old_Turkic", "Osage", "Osmanya", "Pahawh_Hmong", "Palmyrene", "Pau_Cin_Hau", "Phags_Pa", "Phoenician", "Psalter_Pahlavi", "Rejang",
    "Runic", "Samaritan", "Saurashtra", "Sharada", "Shavian", "Siddham", "SignWriting", "Sora_Sompeng", "Sundanese", "Syloti_Nagri", "Syriac",
    "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Takri", "Tangut", "Thaana", "Tifinagh", "Tirhuta", "Ugaritic", "Vai",
    "Warang_Citi", "Yi",
};

/* Characters between those of a run. */
#define GAP "(?:[ \\p{Unknown}\\p{Dogra}\\p{Gunjala_Gondi}\\p{Hanifi_Rohingya}\\p{Makasar}\\p{Medefaidrin}\\p{Old_Sogdian}\\p{Sogdian}\\p{Elymaic}\\p{Nandinagari}" \
            "\\p{Nyiakeng_Puachue_Hmong}\\p{Wancho}\\p{Chorasmian}\\p{Dives_Akuru}\\p{Khitan_Small_Script}\\p{Yezidi}\\p{Cypro_Minoan}\\p{Old_Uyghur}" \
            "\\p{Tangsa}\\p{Toto}\\p{Vithkuqi}])++"

static void add_run(pare_str *s, const char *one) { pare_str_printf(s, "%s++(?:%s%s++)*", one, GAP, one); }

typedef struct splitter { pare_tok_regex *runs; } splitter;

static pare_status parse(pare_tokenizer *t, const pare_jval *v, void **self, pare_err *err)
{
    splitter *p = NULL;
    pare_str all = {0};
    (void)v;
    pare_status st = pare_tok_alloc(t, sizeof *p, &p, err);
    if (st != PARE_OK) return st;
    *self = p;
    add_run(&all, "(?:(?![\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}])[\\x{30fc}\\p{Han}\\p{Hiragana}\\p{Katakana}])");
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        char one[80];
        pare_print(one, sizeof one, i < 2 ? "(?:(?![ \\x{30fc}])[\\p{%s}])" : "[\\p{%s}]", scripts[i]);
        pare_str_add(&all, "|");
        add_run(&all, one);
    }
    st = pare_tok_text_failed(&all, t->where, err);
    if (st == PARE_OK) st = pare_tok_regex_new(t->where, (pare_tspan){all.at, all.n}, false, &p->runs, err);
    pare_str_clear(&all);
    return st;
}

static pare_status split(const void *self, pare_tok_scratch *s, int stage, pare_piece in, pare_err *err)
{
    const splitter *p = self;
    pare_status st = PARE_OK;
    pare_tok_find f = pare_tok_find_all(p->runs, s, (pare_tspan){in.at, in.n});
    size_t begin, end, from = 0;
    bool found, any = false;
    for (;;) {
        PARE_TRY(pare_tok_find_next(&f, &begin, &end, &found, err));
        if (!found) break;
        if (any) PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, begin - from, in.start && from == 0, in.raw}, err));
        from = begin;
        any = true;
    }
    if (any) PARE_TRY(pare_tok_next(s, stage + 1, (pare_piece){in.at + from, in.n - from, in.start && from == 0, in.raw}, err));
out:
    return st;
}

static void clear(void *self)
{
    if (self) pare_tok_regex_free(((splitter *)self)->runs);
}

const pare_tok_pre pare_pre_scripts = {.type = "UnicodeScripts", .parse = parse, .split = split, .free = clear};
